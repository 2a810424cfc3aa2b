import Support
import Telemetry
import Training

/// The view of a watched run as lines of text.
package struct WatchView: Sendable {
    private let watch: RunWatch
    private let style: TerminalStyle
    private let secondsLeft: Double?
    /// The command that resumes the run.
    private let resumption: String

    private static let labelColumns = 13
    /// The columns that are kept free for the numbers next to a sparkline.
    private static let numberColumns = 40
    private static let chartColumns = 10...60

    /// Creates the view of a run.
    ///
    /// - Parameters:
    ///   - time: the time on the clock of `RunWatch.update`.
    ///   - resumption: the command that resumes the run, for a run that is over.
    package init(_ watch: RunWatch, at time: Double, style: TerminalStyle, resumption: String) {
        self.watch = watch
        self.style = style
        self.resumption = resumption
        secondsLeft = watch.secondsLeft(at: time)
    }

    /// The lines, cut off at the width of the terminal.
    package var fittingLines: [String] {
        // The last column stays free, because some terminals wrap when it is written.
        let width = max(1, style.width - 1)
        return lines.map { line in
            line.count <= width ? line : line.prefix(max(0, width - 3)) + "..."
        }
    }

    /// The lines, of which those with sentences may be wider than the terminal.
    ///
    /// Control characters are escaped, because a run from somebody else could contain a terminal's
    /// commands.
    package var lines: [String] { unescapedLines.map(Self.escaped) }

    private static func escaped(_ line: String) -> String {
        line.unicodeScalars.reduce(into: "") { text, scalar in
            let isControl = scalar.properties.generalCategory == .control
            text += isControl ? scalar.escaped(asASCII: true) : String(scalar)
        }
    }

    private var unescapedLines: [String] {
        let header = "\(watch.run.path)  \(stateText)"
        guard watch.status != .missing else { return [header] }
        guard let last = history.recent.last else {
            return [header] + [evaluationLine].compactMap(\.self)
        }
        return [header, progressLine]
            + [
                lossLine(last), recentLine, rateLine(last), evaluationLine, speedLine,
                noiseLine(last), slowestLine(last), timeLine,
            ].compactMap(\.self) + history.diagnoses.map { line("warning", $0.sentence) }
    }

    private var history: RunHistory { watch.history }

    private var stateText: String {
        switch watch.status {
        case .missing: "holds no run yet; waiting for it to start"
        case .training:
            history.recent.isEmpty ? "training; no step has been taken yet" : "training"
        case .finished: "finished"
        case .stopped(let step):
            "stopped at step \(Format.count(step)) with a checkpoint; resume with \(resumption)"
        case .stoppedEarly(let step):
            "stopped early after step \(Format.count(step)), because the validation loss no longer fell"
        case .dead(let step, let checkpoint):
            "killed or failed after step \(Format.count(step)); "
                + (checkpoint.map {
                    "its newest checkpoint is of step \(Format.count($0)); resume with "
                        + resumption
                } ?? "it has no checkpoint")
        }
    }

    private func line(_ label: String, _ text: String) -> String {
        label.padded(to: Self.labelColumns) + text
    }

    /// The number of columns for sparklines; 0 in a narrow terminal.
    private var chartColumns: Int {
        let room = style.width - 1 - Self.labelColumns - Self.numberColumns
        return room < Self.chartColumns.lowerBound ? 0 : min(room, Self.chartColumns.upperBound)
    }

    private func chartLine(_ label: String, _ chart: String, _ text: String) -> String {
        guard chartColumns > 0 else { return line(label, text) }
        return line(label, chart.padded(to: chartColumns) + "  " + text)
    }

    private func chartLine(
        _ label: String, _ values: [Double], isLogarithmic: Bool = false, _ text: String
    ) -> String {
        chartLine(
            label,
            Sparkline.text(
                values, columns: chartColumns, isLogarithmic: isLogarithmic,
                unicode: style.unicode), text)
    }

    // MARK: - Lines

    private var progressLine: String {
        let (done, total) = (history.lastStep, max(1, watch.steps ?? 1))
        let fraction = min(1, Double(done) / Double(total))
        let filled = Int(fraction * Double(chartColumns))
        let (full, empty) = style.unicode ? ("█", "░") : ("#", "-")
        return chartLine(
            "step",
            String(repeating: full, count: filled)
                + String(repeating: empty, count: chartColumns - filled),
            "\(Format.count(done))/\(Format.count(total)) (\(Int(fraction * 100)) %)")
    }

    private func lossLine(_ last: MetricsRecord) -> String {
        let first = history.points.lazy.map(\.loss).first(where: \.isFinite)
        let from = first.map { ", from \(Self.loss($0))" } ?? ""
        return chartLine(
            "loss", history.points.map(\.loss), isLogarithmic: true,
            last["loss"].map { Self.loss($0) + from } ?? "not a number")
    }

    private var recentLine: String? {
        let losses = history.recent.compactMap { $0["loss"] }.filter(\.isFinite)
        guard losses.count > 1, let lowest = losses.min(), let highest = losses.max() else {
            return nil
        }
        return chartLine(
            "  recent", history.recent.map { $0["loss"] ?? .nan },
            "last \(Format.counted(losses.count, "step")), "
                + "\(Self.loss(lowest)) to \(Self.loss(highest))")
    }

    private func rateLine(_ last: MetricsRecord) -> String? {
        guard let rate = last["learning_rate"] else { return nil }
        return chartLine(
            "rate", history.points.map(\.learningRate),
            "\(Format.scientific(rate, digits: 3)), highest "
                + Format.scientific(history.highestRate, digits: 3))
    }

    private var evaluationLine: String? {
        guard let last = history.evaluations.last else { return nil }
        let best = history.evaluations.filter { $0.loss.isFinite }.min { $0.loss < $1.loss }
        let lowest =
            best.map { best in
                best.step == last.step
                    ? ", the lowest"
                    : ", lowest \(Self.loss(best.loss)) at \(Format.count(best.step))"
            } ?? ""
        return chartLine(
            "validation", history.evaluations.map(\.loss), isLogarithmic: true,
            "\(Self.loss(last.loss)) at step \(Format.count(last.step))\(lowest)")
    }

    private var speedLine: String? {
        guard let rate = history.tokensPerSecond else { return nil }
        return chartLine(
            "speed", history.points.map(\.tokensPerSecond),
            "\(Format.rate(rate, of: "tokens")), "
                + "\(Format.duration(history.usualStepSeconds)) a step")
    }

    private func noiseLine(_ last: MetricsRecord) -> String? {
        guard let scale = last["noise_scale"], scale.isFinite else { return nil }
        func text(_ number: Double) -> String { Format.significant(number, digits: 3) }
        let interval: String
        if let lower = last["noise_scale_lower"], let upper = last["noise_scale_upper"] {
            interval = " (\(text(lower)) to \(text(upper)) at 95 %)"
        } else {
            interval = ""
        }
        return line("noise scale", "\(text(scale)) sequences\(interval)")
    }

    private func slowestLine(_ last: MetricsRecord) -> String? {
        guard let rank = last["slowest_rank"], let slowdown = last["slowest_rank_slowdown"],
            let share = last["slowest_rank_share"]
        else { return nil }
        return line(
            "slowest",
            "rank \(Format.fixed(rank, decimals: 0)), \(Format.fixed(slowdown, decimals: 2)) times "
                + "the median's seconds per lane, with \(Format.fixed(share * 100, decimals: 0)) % "
                + "of the lanes")
    }

    private var timeLine: String? {
        guard let secondsLeft else { return nil }
        let now = WallClock.seconds
        return line(
            "time left",
            "\(Format.duration(max(1, secondsLeft), tenths: false)); ends at about "
                + WallClock.text(now + secondsLeft, now: now))
    }

    private static func loss(_ loss: Double) -> String {
        loss.isFinite ? Format.fixed(loss, decimals: 4) : "not a number"
    }
}

extension String {
    /// Returns the text with spaces at its end, so that it has `columns` characters.
    fileprivate func padded(to columns: Int) -> String {
        self + String(repeating: " ", count: max(0, columns - count))
    }
}
