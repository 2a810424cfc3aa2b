import Collectives
import Compute
import MPI
import Recipes
import Support
import Telemetry
import Training

/// The rate that a run was meant to have.
package enum Regime: String, Sendable, CaseIterable {
    case small = "too small"
    case good = "good"
    case large = "too large"
}

/// One training and the parameters on its way.
struct RegimeRun {
    let regime: Regime
    /// The highest of the schedule.
    let learningRate: Double
    /// Of each step that was taken.
    let losses: [Double]
    /// The parameters after some steps, the first before any.
    let snapshots: [(step: Int, parameters: Buffer<Float>)]
    /// Whether it ended early, because too many steps in a row were not finite.
    let hasDiverged: Bool

    /// Trains a plan on all ranks together; nil where a signal asked a rank to stop.
    static func train(
        _ regime: Regime, plan: TrainingPlan, data: TrainingData, communicator: Communicator,
        engine: ComputeEngine, progress mode: ProgressMode
    ) throws(Failure) -> RegimeRun? {
        let step = try TrainingStep(plan: plan, communicator: communicator, engine: engine)
        try step.initialize()
        let loader = SampleLoader(
            dataset: data.training, contextLength: plan.recipe.model.contextLength,
            microBatch: plan.lanes.microBatch)
        let load = { (sample: Int, sequence: Int) in
            loader.load(firstSample: sample, order: data.order, firstSequence: sequence)
        }
        let steps = plan.recipe.training.steps
        let line = ProgressLine(
            "training at rate \(Format.scientific(plan.rate.peakLearningRate, digits: 2))",
            total: steps, unit: .things("steps", showsRate: false),
            mode: communicator.rank == 0 ? mode : .none, environment: processEnvironment())
        defer { line.finish() }
        let marks = Set(snapshotSteps(of: steps))
        var losses: [Double] = []
        var snapshots = [(step: 0, parameters: copy(step.state.parameters.values))]
        var skippedInARow = 0
        var isStopped = false
        while losses.count < steps, !isStopped,
            skippedInARow < plan.recipe.training.maximumSkippedSteps
        {
            let asked: RankRequests = StopSignals.stopRequested ? .stop : []
            let (record, requests) = try step.take(requests: { asked }, batches: load)
            losses.append(record.loss)
            skippedInARow = record.isSkipped ? skippedInARow + 1 : 0
            isStopped = requests.contains(.stop)
            if marks.contains(losses.count) {
                snapshots.append((losses.count, copy(step.state.parameters.values)))
            }
            line.update(
                done: losses.count, details: ["loss \(Format.fixed(record.loss, decimals: 4))"])
        }
        let hasDiverged = losses.count < steps
        if hasDiverged, snapshots.last?.step != losses.count {
            snapshots.append((losses.count, copy(step.state.parameters.values)))
        }
        try step.free()
        return isStopped
            ? nil
            : RegimeRun(
                regime: regime, learningRate: plan.rate.peakLearningRate, losses: losses,
                snapshots: snapshots, hasDiverged: hasDiverged)
    }

    /// Snapshots of a run, the one before its first step included.
    static let snapshotCount = 25

    /// The steps after which parameters are kept, from 0 to the last: closer at the start, where
    /// they move farthest.
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
