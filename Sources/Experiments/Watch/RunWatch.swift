import Support
import Telemetry
import Training

/// A run that is being watched: its history, its state and its estimated end. It only reads the
/// run's files.
package struct RunWatch: Sendable {
    package let run: RunFolder
    private var follower: MetricsFollower
    private var reader: RunStatusReader
    package private(set) var history = RunHistory()
    package private(set) var status = RunStatus.missing
    /// The start of the observation: the time in seconds, and the seconds of the steps until then.
    private var observed: (time: Double, stepSeconds: Double)?

    /// The seconds of observation after which the time between steps is known.
    private static let leastObservation = 60.0

    package init(_ run: RunFolder) {
        self.run = run
        follower = MetricsFollower(run.metrics)
        reader = RunStatusReader(run)
    }

    /// The number of steps of the run's recipe; nil before the run exists.
    package var steps: Int? { reader.steps }

    /// Reads the lines that were added since the last call, and the run's state.
    ///
    /// - Parameter time: the seconds on a clock that does not go back.
    /// - Throws: `Failure` if a file of the run cannot be read.
    package mutating func update(at time: Double) throws(Failure) {
        var isRestarted = false
        var history = history
        try follower.read(
            restarted: {
                isRestarted = true
                history = RunHistory()
            }, line: { history.add($0) })
        self.history = history
        status = try reader.status(
            lastStep: history.lastStep, stepSeconds: history.usualStepSeconds)
        if isRestarted || observed == nil || status != .training {
            observed = (time, history.stepSeconds)
        }
    }

    /// Returns the seconds until the last step; nil unless the run is training and has taken a step.
    ///
    /// After a minute of observation, the estimate includes the time between the steps, in which
    /// evaluations and checkpoints run.
    package func secondsLeft(at time: Double) -> Double? {
        guard status == .training, let steps, history.usualStepSeconds > 0 else { return nil }
        let left = Double(max(0, steps - history.lastStep)) * meanStepSeconds
        guard let observed, time - observed.time >= Self.leastObservation else { return left }
        let inSteps = history.stepSeconds - observed.stepSeconds
        return inSteps > 0 ? left * max(1, (time - observed.time) / inSteps) : left
    }

    private var meanStepSeconds: Double {
        let seconds = history.recent.compactMap { $0["step_seconds"] }
        return seconds.isEmpty ? 0 : seconds.reduce(0, +) / Double(seconds.count)
    }
}
