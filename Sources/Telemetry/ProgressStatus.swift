import Support

/// The unit that a progress display counts.
package enum ProgressUnit: Sendable, Equatable {
    /// Items with a name, such as "steps"; `showsRate` also shows their rate.
    case things(String, showsRate: Bool)
    /// Bytes, with their rate.
    case bytes
}

/// The progress of an operation, and its rendering as text.
package struct ProgressStatus: Sendable, Equatable {
    /// The name of the operation, such as "training".
    package var title: String
    package var done: Int
    package var total: Int
    package var unit: ProgressUnit
    /// The additional details, such as "loss 1.8857", the most important first.
    package var details: [String] = []
    /// The rate in units per second.
    package var rate: Double?
    package var secondsLeft: Double?

    package init(title: String, done: Int = 0, total: Int, unit: ProgressUnit) {
        self.title = title
        self.done = done
        self.total = total
        self.unit = unit
    }

    /// The fraction that is done, from 0 to 1.
    package var fraction: Double {
        total > 0 ? min(1, max(0, Double(done) / Double(total))) : 1
    }

    /// Returns the details of a training step.
    package static func trainingDetails(
        loss: Double, learningRate: Double, tokensPerSecond: Double
    ) -> [String] {
        [
            "loss \(Format.fixed(loss, decimals: 4))",
            "lr \(Format.scientific(learningRate, digits: 3))",
            Format.rate(tokensPerSecond, of: "tokens"),
        ]
    }
}

/// The abilities of a terminal.
package struct TerminalStyle: Sendable, Equatable {
    /// The number of columns.
    package let width: Int
    package let color: Bool
    package let unicode: Bool

    /// Creates the style of a terminal from its width and the environment.
    ///
    /// A nonempty `NO_COLOR` (no-color.org) turns color off. Block characters need a UTF-8 locale.
    /// If the terminal does not report its width, the width is `COLUMNS`, or 80 if that is unset.
    package init(environment: [String: String], terminalWidth: Int?) {
        let columns = terminalWidth ?? environment["COLUMNS"].flatMap { Int($0) } ?? 80
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy
            .compactMap { environment[$0] }.first { !$0.isEmpty }
        let encoding = (locale ?? "").lowercased()
        width = columns > 0 ? columns : 80
        color = environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
        unicode = encoding.hasSuffix("utf-8") || encoding.hasSuffix("utf8")
    }
}

extension ProgressStatus {
    /// The status as a line of a log.
    package var plainLine: String {
        let percent = Int((fraction * 100).rounded(.down))
        return
            (["\(title) \(position) (\(percent) %)"] + details
            + [rateText, timeText].compactMap(\.self))
            .joined(separator: ", ")
    }

    /// Returns the status with a bar, fitted to the width of a terminal, without a line break.
    ///
    /// The last column stays free, because some terminals wrap when it is written. In a narrow
    /// terminal, the bar shrinks and then disappears, followed by the least important details.
    package func bar(_ style: TerminalStyle) -> String {
        let room = max(1, style.width - 1)
        var texts = details
        if let rateText { texts.append(rateText) }
        let ends = timeText.map { [$0] } ?? []
        for barWidth in [30, 20, 10] {
            let line = [title] + [String(repeating: " ", count: barWidth), position] + texts + ends
            if length(of: line) <= room {
                var parts = line
                parts[1] = Self.bar(fraction, width: barWidth, style)
                return parts.joined(separator: Self.gap)
            }
        }
        // The details matter more than the title, which the user knows.
        while length(of: [position] + texts + ends) > room, !texts.isEmpty {
            texts.removeLast()
        }
        for line in [
            [title, position] + texts + ends, [position] + texts + ends, [title, position],
            [position],
        ] where length(of: line) <= room {
            return line.joined(separator: Self.gap)
        }
        return String(position.prefix(room))
    }

    private static let gap = "  "

    private func length(of parts: [String]) -> Int {
        parts.reduce(0) { $0 + $1.count } + max(0, parts.count - 1) * Self.gap.count
    }

    private var position: String {
        switch unit {
        case .things(let name, _): "\(Format.count(done))/\(Format.count(total)) \(name)"
        case .bytes: "\(Format.bytes(done))/\(Format.bytes(total))"
        }
    }

    private var rateText: String? {
        guard let rate else { return nil }
        return switch unit {
        case .things(let name, let showsRate): showsRate ? Format.rate(rate, of: name) : nil
        case .bytes: Format.bytes(Int(min(rate, 1e15))) + "/s"
        }
    }

    private var timeText: String? {
        guard let secondsLeft, done < total else { return nil }
        return Format.duration(max(1, secondsLeft), tenths: false) + " left"
    }

    private static func bar(_ fraction: Double, width: Int, _ style: TerminalStyle) -> String {
        let filled = Int((fraction * Double(width)).rounded(.down))
        let (full, empty) = style.unicode ? ("█", "░") : ("#", "-")
        let front = String(repeating: full, count: filled)
        let back = String(repeating: empty, count: width - filled)
        return style.color ? "\u{1B}[32m\(front)\u{1B}[0m\(back)" : front + back
    }
}
