import Support

/// A progress display on standard error.
///
/// A terminal shows a bar that is redrawn at most ten times per second. A log gets a line for every
/// tenth of the work and every half minute. An operation of less than five seconds shows nothing
/// unless `atOnce` is set. Only one thread at a time may use the display.
package final class ProgressLine {
    private let mode: ProgressMode
    private let environment: [String: String]
    private let keepsBar: Bool
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var status: ProgressStatus
    private var schedule: ProgressSchedule
    private var estimator: RateEstimator

    /// Creates the display of an operation before it begins.
    ///
    /// - Parameters:
    ///   - title: the name of the operation, such as "training".
    ///   - done: the amount that is done at the start, as in a resumed run.
    ///   - mode: usually `ProgressMode.chosen(by:isTerminal:)`.
    ///   - environment: the environment of the process, which describes the terminal.
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

    /// The amount that is done.
    package var done: Int { status.done }

    /// Reports progress. The call is cheap enough for every few milliseconds.
    ///
    /// `details` is evaluated only when something is shown, and at the end.
    ///
    /// - Parameter total: the new total if it has changed, as when more work is found.
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
            // `finish` must not show outdated details.
            status.details = details()
        }
    }

    /// Erases the bar until the next update, so that other output can be written.
    package func hide() {
        if mode == .bar { StandardError.shared.endBar(keeping: false) }
    }

    /// Ends the display. Call this also if the operation failed.
    package func finish(details: @autoclosure () -> [String] = []) {
        let showsEnd = schedule.shouldShowEnd(at: seconds)
        if showsEnd, mode == .lines || keepsBar { show(details()) }
        if mode == .bar { StandardError.shared.endBar(keeping: keepsBar) }
    }

    private var seconds: Double { (clock.now - start) / .seconds(1) }

    private func show(_ details: [String]) {
        // `finish` may be called without details; the latest ones are shown then.
        if !details.isEmpty { status.details = details }
        status.rate = estimator.rate
        status.secondsLeft = estimator.secondsLeft(total: Double(status.total))
        switch mode {
        case .none: break
        case .lines: StandardError.shared.write(line: "lockstep: " + status.plainLine)
        case .bar:
            // The width is read each time, because windows are resized.
            let style = TerminalStyle(
                environment: environment, terminalWidth: StandardError.terminalWidth)
            StandardError.shared.show(bar: status.bar(style))
        }
    }
}
