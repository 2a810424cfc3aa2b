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
    /// The state of a run after some steps.
    struct Snapshot {
        let step: Int
        let parameters: Buffer<Float>
        /// The loss as the optimizer sees it; nil if the sharpness is not measured.
        var view: OptimizerView?
    }

    /// A loss as an optimizer sees it at one step.
    struct OptimizerView {
        /// The diagonal of the inverse of the optimizer's preconditioner.
        let factors: Buffer<Float>
        /// The product of rate and sharpness above which the rule diverges on a quadratic loss.
        let stableProduct: Double
        let learningRate: Double
        var stableSharpness: Double { stableProduct / learningRate }
    }

    let regime: Regime
    /// The peak rate of the schedule.
    let learningRate: Double
    /// The loss of each step.
    let losses: [Double]
    /// The snapshots in ascending order of steps, beginning with that before the first step.
    let snapshots: [Snapshot]
    /// The number of steps whose gradient was clipped.
    let clippedSteps: Int
    /// Whether the run ended early because too many steps in a row were not finite.
    let hasDiverged: Bool

    /// Trains a plan and returns the run, or nil if a signal stopped it. Collective: every rank
    /// must call this.
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
        let (marks, measured) = (Set(snapshotSteps(of: steps)), Set(sharpnessSteps(of: steps)))
        let clipNorm = plan.recipe.optimizer.clipNorm
        var losses: [Double] = []
        var snapshots = [Snapshot(step: 0, parameters: runner.state.parameters.values.copy)]
        var (skippedInARow, clippedSteps, isStopped) = (0, 0, false)
        while losses.count < steps, !isStopped,
            skippedInARow < plan.recipe.training.maximumSkippedSteps
        {
            let asked: RankRequests = StopSignals.stopRequested ? .stop : []
            let (record, requests) = try runner.take(requests: { asked }, batches: batches)
            losses.append(record.loss)
            skippedInARow = record.isSkipped ? skippedInARow + 1 : 0
            if clipNorm > 0, record.gradientNorm > clipNorm { clippedSteps += 1 }
            isStopped = requests.contains(.stop)
            if marks.contains(losses.count) {
                snapshots.append(
                    Snapshot(
                        step: losses.count, parameters: runner.state.parameters.values.copy,
                        view: measured.contains(losses.count)
                            ? try view(runner, plan, record.learningRate, in: job) : nil))
            }
            line.update(
                done: losses.count, details: ["loss \(Format.fixed(record.loss, decimals: 4))"])
        }
        let hasDiverged = losses.count < steps
        if hasDiverged, snapshots.last?.step != losses.count {
            snapshots.append(
                Snapshot(
                    step: losses.count, parameters: runner.state.parameters.values.copy))
        }
        try runner.free()
        return isStopped
            ? nil
            : RegimeRun(
                regime: regime, learningRate: plan.rate.peakLearningRate, losses: losses,
                snapshots: snapshots, clippedSteps: clippedSteps, hasDiverged: hasDiverged)
    }

    /// Returns the loss as the optimizer sees it after a step. Collective: every rank must call
    /// this.
    private static func view(
        _ runner: StepRunner, _ plan: TrainingPlan, _ learningRate: Double, in job: Job
    ) throws(Failure) -> OptimizerView {
        let optimizer = runner.state.optimizer
        let own = Buffer<Float>(count: runner.model.layout.arena.count)
        optimizer.writeStepFactors(into: own)
        var factors = own
        // A rank whose shard is the whole arena must take part too.
        if plan.recipe.optimizer.sharded {
            // Each element is a number on one rank and zero on all others, so adding them is exact.
            factors = Buffer(count: own.count)
            try job.communicator.allReduce(
                own.base, into: factors.base, count: own.count, .sum)
        }
        return OptimizerView(
            factors: factors, stableProduct: optimizer.stableProduct, learningRate: learningRate)
    }

    /// The number of snapshots of a run, including the one before its first step.
    static let snapshotCount = 25
    /// The snapshots from one measurement of the sharpness to the next.
    private static let snapshotsPerSharpness = 3
    /// The number of measurements of a run's sharpness.
    static let sharpnessCount = (snapshotCount - 1) / snapshotsPerSharpness

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

    /// Returns the steps after which the sharpness is measured, among them the last. An adaptive
    /// rule has no preconditioner before its first step.
    private static func sharpnessSteps(of steps: Int) -> [Int] {
        let kept = snapshotSteps(of: steps).dropFirst()
        return kept.indices.reversed().filter {
            (kept.endIndex - 1 - $0) % snapshotsPerSharpness == 0
        }.map { kept[$0] }
    }
}
