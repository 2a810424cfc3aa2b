import Collectives
import Compute
import Recipes
import Support
import Training

/// The intended size of a run's rate.
package enum Regime: String, Sendable, CaseIterable {
    case small = "too small"
    case good = "good"
    case large = "too large"
}

/// A training run with snapshots of its parameters.
struct RegimeRun {
    let regime: Regime
    /// The peak rate of the schedule.
    let learningRate: Double
    /// The loss of each step.
    let losses: [Double]
    /// The parameters after some steps, beginning with those before the first step.
    let snapshots: [(step: Int, parameters: Buffer<Float>)]
    /// Whether the run ended early because too many steps in a row were not finite.
    let hasDiverged: Bool

    /// Trains a plan and returns the run, or nil if a signal stopped it. Collective.
    static func train(
        _ regime: Regime, _ input: TrainingInput, in job: Job, engine: ComputeEngine
    ) throws(Failure) -> RegimeRun? {
        let plan = input.plan
        let runner = try StepRunner(plan: plan, communicator: job.communicator, engine: engine)
        try runner.initialize()
        let batches = input.makeBatches()
        let steps = plan.recipe.training.steps
        let line = job.progressLine(
            "training at rate \(Format.scientific(plan.rate.peakLearningRate, digits: 2))",
            total: steps, unit: .things("steps", showsRate: false))
        defer { line.finish() }
        let marks = Set(snapshotSteps(of: steps))
        var losses: [Double] = []
        var snapshots = [(step: 0, parameters: copy(runner.state.parameters.values))]
        var skippedInARow = 0
        var isStopped = false
        while losses.count < steps, !isStopped,
            skippedInARow < plan.recipe.training.maximumSkippedSteps
        {
            let asked: RankRequests = StopSignals.stopRequested ? .stop : []
            let (record, requests) = try runner.take(requests: { asked }, batches: batches)
            losses.append(record.loss)
            skippedInARow = record.isSkipped ? skippedInARow + 1 : 0
            isStopped = requests.contains(.stop)
            if marks.contains(losses.count) {
                snapshots.append((losses.count, copy(runner.state.parameters.values)))
            }
            line.update(
                done: losses.count, details: ["loss \(Format.fixed(record.loss, decimals: 4))"])
        }
        let hasDiverged = losses.count < steps
        if hasDiverged, snapshots.last?.step != losses.count {
            snapshots.append((losses.count, copy(runner.state.parameters.values)))
        }
        try runner.free()
        return isStopped
            ? nil
            : RegimeRun(
                regime: regime, learningRate: plan.rate.peakLearningRate, losses: losses,
                snapshots: snapshots, hasDiverged: hasDiverged)
    }

    /// The number of snapshots of a run, including the one before its first step.
    static let snapshotCount = 25

    /// Returns the steps after which parameters are kept, from 0 to the last. They are closer
    /// together at the start, where the parameters move farthest.
    static func snapshotSteps(of steps: Int) -> [Int] {
        let intervals = snapshotCount - 1
        return Set(
            (0...intervals).map { index in
                let part = Double(index) / Double(intervals)
                return Int((Double(steps) * part * part).rounded())
            }
        ).sorted()
    }

    private static func copy(_ parameters: Buffer<Float>) -> Buffer<Float> {
        let copy = Buffer<Float>(count: parameters.count)
        copy.base.update(from: parameters.base, count: parameters.count)
        return copy
    }
}
