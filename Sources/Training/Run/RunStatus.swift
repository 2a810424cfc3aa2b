import Checkpoints
import Recipes
import Support
import Telemetry

/// The state of a run as its files show it.
package enum RunStatus: Sendable, Equatable {
    /// The folder holds no run yet.
    case missing
    case training
    /// All steps were taken, and the last one has a checkpoint.
    case finished
    /// A signal stopped the run, which saved a checkpoint of its last step.
    case stopped(step: Int)
    /// The run stopped because its validation loss no longer fell.
    case stoppedEarly(step: Int)
    /// The run was killed or failed, at the step of its last line, and has a checkpoint of another
    /// step or none.
    case dead(step: Int, checkpoint: Int?)

    /// Whether nothing more will happen unless the run is resumed.
    package var isOver: Bool {
        switch self {
        case .missing, .training: false
        case .finished, .stopped, .stoppedEarly, .dead: true
        }
    }
}

/// A reader of the state of a run, which changes nothing in the run's folder.
package struct RunStatusReader: Sendable {
    package let run: RunFolder
    /// The recipe that was read last, and the file in which it was.
    private var known: (file: FileStatus, steps: Int, patience: Int?)?
    /// Whether a process of this machine was seen to hold the run's lock.
    private var sawLock = false
    /// The status of the log after the process released the lock; nil while it holds the lock.
    private var lastLog: FileStatus?

    /// The seconds without a new line after which a run without a visible lock is over, if the
    /// process could run on another machine and if it could not.
    private static let (silenceElsewhere, silenceHere) = (60.0, 5.0)
    /// The number of steps without a new line after which the same run is over, if that is longer.
    private static let (stepsElsewhere, stepsHere) = (20.0, 5.0)

    package init(_ run: RunFolder) { self.run = run }

    /// The number of steps of the run's recipe; nil before the run exists.
    package var steps: Int? { known?.steps }

    /// Returns the state of the run.
    ///
    /// - Parameters:
    ///   - lastStep: the step of the last line of metrics.jsonl.
    ///   - stepSeconds: the time of a step.
    /// - Throws: `Failure` if a file cannot be read, or if the recipe is not valid.
    package mutating func status(lastStep: Int, stepSeconds: Double) throws(Failure) -> RunStatus {
        guard let file = FileStatus(run.recipe) else { return .missing }
        if known?.file != file {
            let recipe = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
            known = (file, recipe.training.steps, recipe.training.patience)
        }
        let checkpoints = try run.checkpointStore().candidates().map(\.step)
        if lastStep == steps, checkpoints.contains(lastStep) { return .finished }
        let lock = "\(run.path)/lock"
        if FileSystem.isLocked(lock) {
            (sawLock, lastLog) = (true, nil)
            return .training
        }
        // The process may run where its lock cannot be seen, so new lines are signs of life.
        let log = FileStatus(run.metrics) ?? file
        if sawLock {
            // A line after the end is that of a process that resumed the run elsewhere.
            if let lastLog, lastLog != log { sawLock = false }
            lastLog = log
        }
        let isHere = sawLock || FileSystem.isLocal(run.path)
        let silence =
            isHere
            ? max(Self.silenceHere, Self.stepsHere * stepSeconds)
            : max(Self.silenceElsewhere, Self.stepsElsewhere * stepSeconds)
        if !sawLock, log.age < silence { return .training }
        guard checkpoints.contains(lastStep), lastStep > 0 else {
            return .dead(step: lastStep, checkpoint: checkpoints.first)
        }
        return try isOutOfPatience() ? .stoppedEarly(step: lastStep) : .stopped(step: lastStep)
    }

    /// Returns whether the evaluations so far end the run.
    private func isOutOfPatience() throws(Failure) -> Bool {
        guard let limit = known?.patience else { return false }
        var patience = Patience(limit: limit)
        for record in try MetricsLog.read(run.metrics) { patience.add(record) }
        return patience.isExhausted
    }
}
