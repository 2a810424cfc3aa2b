import Glibc
import Support

/// How progress is shown.
package enum ProgressMode: String, Sendable, CaseIterable {
    /// A bar that is redrawn in place.
    case bar
    /// A line now and then, for logs.
    case lines
    /// Not at all.
    case none

    /// The mode that an environment asks for.
    ///
    /// `LOCKSTEP_PROGRESS` decides, where it is set: under mpirun standard error is a pipe although
    /// there may be a terminal behind it, and only the launcher can know. Else there is a bar on a
    /// terminal that can redraw, and lines elsewhere.
    ///
    /// - Throws: `.configuration` for an unknown value.
    package static func chosen(
        by environment: [String: String], isTerminal: Bool
    ) throws(Failure) -> ProgressMode {
        guard let name = environment["LOCKSTEP_PROGRESS"], !name.isEmpty else {
            return isTerminal && environment["TERM"] != "dumb" ? .bar : .lines
        }
        guard let mode = ProgressMode(rawValue: name) else {
            throw .variable(
                "LOCKSTEP_PROGRESS", value: "\"\(name)\"", problem: "is not a display of progress",
                remedy: "set bar, lines or none")
        }
        return mode
    }
}

extension TerminalStyle {
    /// What a terminal of some width can show, as the environment says.
    ///
    /// `NO_COLOR` (no-color.org), when not empty, forbids colour; block characters need a locale
    /// of UTF-8. Without a width from the terminal `COLUMNS` counts, else 80.
    package init(environment: [String: String], terminalWidth: Int?) {
        let columns = terminalWidth ?? environment["COLUMNS"].flatMap { Int($0) } ?? 80
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy
            .compactMap { environment[$0] }.first { !$0.isEmpty }
        let encoding = (locale ?? "").lowercased()
        self.init(
            width: columns > 0 ? columns : 80,
            color: environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb",
            unicode: encoding.hasSuffix("utf-8") || encoding.hasSuffix("utf8"))
    }
}

/// When an operation's progress is shown.
package struct ProgressSchedule: Sendable {
    private let mode: ProgressMode
    private let start: Double
    private let delay: Double
    private var lastTime: Double?
    private var lastTenth: Int

    /// Seconds that an operation may take without showing anything.
    package static let patience = 5.0
    /// Seconds between two drawings of a bar.
    static let redrawInterval = 0.1
    /// Seconds between two lines where less than a tenth of the work was done.
    static let lineInterval = 30.0

    /// - Parameters:
    ///   - fraction: what is done at the start.
    ///   - time: seconds on the clock that later calls use.
    ///   - atOnce: whether to show something from the start.
    package init(mode: ProgressMode, fraction: Double = 0, at time: Double, atOnce: Bool) {
        self.mode = mode
        start = time
        delay = atOnce ? 0 : Self.patience
        lastTenth = Int(fraction * 10)
    }

    /// Whether anything has been shown.
    package var hasShown: Bool { lastTime != nil }

    /// Whether to show the progress now; takes it for granted that this is then done.
    package mutating func shouldShow(fraction: Double, at time: Double) -> Bool {
        guard time - start >= delay else { return false }
        let tenth = Int(fraction * 10)
        let isDue =
            switch mode {
            case .none: false
            case .bar: time - (lastTime ?? -.infinity) >= Self.redrawInterval
            case .lines:
                tenth > lastTenth || time - (lastTime ?? start) >= Self.lineInterval
            }
        guard isDue else { return false }
        lastTime = time
        lastTenth = tenth
        return true
    }

    /// Whether to show the end of the operation.
    package func shouldShowEnd(at time: Double) -> Bool {
        switch mode {
        case .none: false
        case .bar: hasShown || delay == 0
        // The line of the last tenth may have been the end already.
        case .lines: (hasShown || delay == 0) && lastTenth < 10
        }
    }
}
