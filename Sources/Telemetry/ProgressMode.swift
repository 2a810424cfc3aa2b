import Support

/// A way to show progress.
package enum ProgressMode: String, Sendable, CaseIterable {
    /// A bar that is redrawn in place.
    case bar
    /// Separate lines, for logs.
    case lines
    /// No display.
    case none

    /// Returns the mode that an environment asks for.
    ///
    /// `LOCKSTEP_PROGRESS` decides if it is set: under mpirun, standard error is a pipe even if a
    /// terminal shows it, and only the launcher knows that. Otherwise a terminal that can redraw
    /// gets a bar, and everything else gets lines.
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
                "LOCKSTEP_PROGRESS", name, "is not a way to show progress",
                remedy: "set bar, lines or none")
        }
        return mode
    }
}

/// The schedule by which the progress of an operation is shown.
package struct ProgressSchedule: Sendable {
    private let mode: ProgressMode
    private let start: Double
    private let delay: Double
    private var lastTime: Double?
    private var lastTenth: Int

    /// The seconds after which the progress of an operation is shown, so that short ones show none.
    private static let secondsBeforeDisplay = 5.0
    /// The least number of seconds between two drawings of a bar.
    static let redrawInterval = 0.1
    /// The seconds after which a line is shown even if less than a tenth of the work was done.
    static let lineInterval = 30.0

    /// Creates a schedule that starts at `time`.
    ///
    /// - Parameters:
    ///   - fraction: the fraction that is done at the start.
    ///   - time: the time in seconds, on the clock that later calls use.
    ///   - atOnce: whether to show progress from the start.
    package init(mode: ProgressMode, fraction: Double = 0, at time: Double, atOnce: Bool) {
        self.mode = mode
        start = time
        delay = atOnce ? 0 : Self.secondsBeforeDisplay
        lastTenth = Int(fraction * 10)
    }

    /// Whether anything has been shown.
    package var hasShown: Bool { lastTime != nil }

    /// Returns whether to show the progress now. If it returns true, the caller must show it.
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

    /// Returns whether to show the end of the operation.
    package func shouldShowEnd(at time: Double) -> Bool {
        switch mode {
        case .none: false
        case .bar: hasShown || delay == 0
        // The line of the last tenth already shows the end.
        case .lines: (hasShown || delay == 0) && lastTenth < 10
        }
    }
}
