import Support

/// Shows on standard error how far an operation is.
///
/// On a terminal it is a bar redrawn at most ten times a second; in a log it is a line for every
/// tenth of the work, and every half minute. An operation of under five seconds shows nothing,
/// unless asked to. One thread at a time may use it.
package final class ProgressLine {
    private let mode: ProgressMode
    private let environment: [String: String]
    private let keepsBar: Bool
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var status: ProgressStatus
    private var schedule: ProgressSchedule
    private var estimator: RateEstimator

    /// - Parameters:
    ///   - title: what is done, such as "training".
    ///   - done: how far it is at the start, as for a run that is resumed.
    ///   - mode: usually `ProgressMode.chosen(by:isTerminal:)`.
    ///   - environment: the process's, for the terminal's abilities.
    ///   - atOnce: whether to show something before five seconds have passed.
    ///   - keepsBar: whether the bar stays on the screen at the end.
    package init(
        _ title: String, done: Int = 0, total: Int, unit: ProgressUnit, mode: ProgressMode,
        environment: [String: String], atOnce: Bool = false, keepsBar: Bool = false
    ) {
        self.mode = mode
        self.environment = environment
        self.keepsBar = keepsBar
        start = clock.now
        status = ProgressStatus(title: title, done: done, total: total, unit: unit)
        schedule = ProgressSchedule(
            mode: mode, fraction: status.fraction, at: 0, atOnce: atOnce)
        estimator = RateEstimator(done: Double(done), at: 0)
    }

    /// Reports how far the operation is; cheap enough to be called every few milliseconds.
    ///
    /// `details` is evaluated only when something is shown, and at the end.
    ///
    /// - Parameter total: where it is not what it was, as work turns up.
    package func update(
        done: Int, total: Int? = nil, details: @autoclosure () -> [String] = []
    ) {
        let time = seconds
        status.total = total ?? status.total
        status.done = done
        estimator.record(done: Double(done), at: time)
        if schedule.shouldShow(fraction: status.fraction, at: time) {
            show(details())
        } else if done >= status.total {
            // What the end shows must not be older than the end.
            status.details = details()
        }
    }

    /// Ends the display: call it in all cases, also where the operation failed.
    package func finish(details: @autoclosure () -> [String] = []) {
        let showsEnd = schedule.shouldShowEnd(at: seconds)
        if showsEnd, mode == .lines || keepsBar { show(details()) }
        if mode == .bar { StandardError.shared.endBar(keeping: keepsBar) }
    }

    private var seconds: Double { (clock.now - start) / .seconds(1) }

    private func show(_ details: [String]) {
        // At the end a caller may have nothing to add to what was told before.
        if !details.isEmpty { status.details = details }
        status.rate = estimator.rate
        status.secondsLeft = estimator.secondsLeft(total: Double(status.total))
        switch mode {
        case .none: break
        case .lines: StandardError.shared.write(line: "lockstep: " + status.plainLine)
        case .bar:
            // Read anew each time, since windows change their size.
            let style = TerminalStyle(
                environment: environment, terminalWidth: StandardError.terminalWidth)
            StandardError.shared.show(bar: status.bar(style))
        }
    }
}
