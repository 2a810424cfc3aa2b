import Compute
import MPI
import Recipes
import Statistics
import Support
import Training

/// The expected duration of branches on a layout, from a few measured steps.
package struct BranchEstimate: Sendable, Equatable {
    /// The branches of one batch.
    package struct Row: Sendable, Equatable {
        package let batch: Int
        /// The number of branches that have no result yet.
        package let branches: Int
        package let steps: Int
        package let secondsPerStep: Double
        /// The duration of all evaluations of a branch.
        package let evaluationSeconds: Double

        package init(
            batch: Int, branches: Int, steps: Int, secondsPerStep: Double,
            evaluationSeconds: Double
        ) {
            self.batch = batch
            self.branches = branches
            self.steps = steps
            self.secondsPerStep = secondsPerStep
            self.evaluationSeconds = evaluationSeconds
        }

        /// The duration of one branch.
        package var seconds: Double { Double(steps) * secondsPerStep + evaluationSeconds }
    }

    package let rows: [Row]
    /// The tokens that each branch trains on.
    package let tokens: Int

    package init(rows: [Row], tokens: Int) {
        self.rows = rows
        self.tokens = tokens
    }

    package var seconds: Double { rows.reduce(0) { $0 + Double($1.branches) * $1.seconds } }

    /// The number of branches, their tokens and their duration.
    package var sentence: String {
        let branches = rows.reduce(0) { $0 + $1.branches }
        let all = branches.multipliedReportingOverflow(by: tokens)
        return "\(Format.counted(branches, "branch", "branches")) of "
            + "\(Format.counted(tokens, "token"))"
            + (all.overflow ? "" : ", \(Format.count(all.partialValue)) in all")
            + ": about \(Format.duration(seconds, tenths: false))"
    }

    /// A table of the batches, and the sentence.
    package var text: String {
        var table = TextTable(
            ["batch", "branches", "steps", "ms a step", "a branch"], leftColumns: 0)
        for row in rows {
            table.add([
                Format.count(row.batch), "\(row.branches)", Format.count(row.steps),
                Format.significant(row.secondsPerStep * 1000, digits: 3),
                Format.duration(row.seconds),
            ])
        }
        return (table.lines + [sentence]).joined(separator: "\n")
    }
}

extension BranchEstimate {
    /// The steps before the measurement, in which memory is touched for the first time.
    private static let warmupSteps = 1
    private static let measuredSteps = 3
    /// The largest multiple of the run's batch that is measured. Above it, a step takes as long as
    /// its sequences, and measuring would take long.
    private static let mostMeasured = 8
    /// A forward pass is a third of a step.
    private static let evaluationPart = 1.0 / 3

    /// Measures a few steps of each batch, or of the largest batches that are measured for those
    /// above. Collective: every rank must call this.
    init(
        _ design: BranchDesign, open: [BranchDesign.Point], _ input: TrainingInput, in job: Job
    ) throws(Failure) {
        let engine = job.makeEngine()
        let windows = design.evaluatedWindows(
            of: input.plan.recipe, of: input.data.validationWindows.count)
        var perSequence = 0.0
        var rows: [Row] = []
        for batch in design.batches {
            if batch <= Self.mostMeasured * design.trunkBatch {
                let plan = try job.communicator.agree { () throws(Failure) in
                    try TrainingPlan(
                        design.recipe(of: batch, from: design.starts[0], trunk: input.plan),
                        ranks: job.communicator.size)
                }
                let own = TrainingInput(plan: plan, data: input.data)
                perSequence = try Self.secondsPerStep(own, in: job, engine) / Double(batch)
            }
            rows.append(
                Row(
                    batch: batch, branches: open.count { $0.batch == batch },
                    steps: design.steps(ofBatch: batch),
                    secondsPerStep: perSequence * Double(batch),
                    evaluationSeconds: Self.evaluationPart * perSequence * Double(windows)))
        }
        self.init(rows: rows, tokens: design.tokens)
    }

    private static func secondsPerStep(
        _ input: TrainingInput, in job: Job, _ engine: ComputeEngine
    ) throws(Failure) -> Double {
        let runner = try StepRunner(
            plan: input.plan, communicator: job.communicator, engine: engine)
        try runner.initialize()
        let batches = input.makeBatches()
        var times: [Double] = []
        for index in 0..<warmupSteps + measuredSteps {
            let start = MonotonicClock.nanoseconds
            _ = try runner.take(batches: batches)
            let time = Double(MonotonicClock.nanoseconds - start) * 1e-9
            if index >= warmupSteps { times.append(time) }
        }
        try runner.free()
        return median(times)
    }
}
