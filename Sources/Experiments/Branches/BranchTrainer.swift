import Collectives
import Compute
import MPI
import Recipes
import Support
import Telemetry
import Training

/// The object that trains branches, one after another, on all ranks.
struct BranchTrainer {
    let design: BranchDesign
    /// The plan of the run from which the branches start.
    let trunk: TrainingPlan
    let data: TrainingData
    let job: Job
    let engine: ComputeEngine

    private var communicator: Communicator { job.communicator }

    /// Trains a branch to its end; returns nil if a signal stopped it. Collective: every rank must
    /// call this.
    ///
    /// - Parameter observe: receives the number of sequences after each step, and the step's loss.
    /// - Throws: `Failure` (bad data) if the run's checkpoint is not the one of the design.
    func train(
        _ point: BranchDesign.Point, from start: BranchDesign.Start,
        observe: (_ sequences: Int, _ loss: Double) -> Void
    ) throws(Failure) -> BranchResult? {
        let plan = try communicator.agree { () throws(Failure) in
            try TrainingPlan(
                design.recipe(of: point.batch, from: start, trunk: trunk), ranks: communicator.size)
        }
        let runner = try StepRunner(plan: plan, communicator: communicator, engine: engine)
        let result = try train(point, from: start, plan: plan, with: runner, observe: observe)
        try runner.free()
        return result
    }

    private func train(
        _ point: BranchDesign.Point, from start: BranchDesign.Start, plan: TrainingPlan,
        with runner: StepRunner, observe: (_ sequences: Int, _ loss: Double) -> Void
    ) throws(Failure) -> BranchResult? {
        try load(start, into: runner)
        let batches = batches(of: point, plan)
        let rate = plan.rate.peakLearningRate
        let steps = design.steps(ofBatch: point.batch)
        let schedule: Schedule =
            design.decays
            ? .change(trunk.recipe.schedule.decay, from: rate, to: 0, steps: steps)
            : .constant(rate)
        let marks = design.marks
        let evaluator = evaluator(plan, windowLimit: design.curveWindowLimit(of: trunk.recipe))
        var curve = [try evaluate(evaluator, runner, sequences: 0)]
        var lastLosses: [Double] = []
        var skippedInARow = 0
        for step in 0..<steps {
            let asked: RankRequests = StopSignals.stopRequested ? .stop : []
            let (record, requests) = try runner.take(
                learningRate: schedule.learningRate(at: step), requests: { asked },
                batches: batches)
            if requests.contains(.stop), step + 1 < steps { return nil }
            let sequences = (step + 1) * point.batch
            observe(sequences, record.loss)
            if sequences > marks.dropLast().last ?? 0 { lastLosses.append(record.loss) }
            skippedInARow = record.isSkipped ? skippedInARow + 1 : 0
            if skippedInARow >= plan.recipe.training.maximumSkippedSteps { break }
            if marks.contains(sequences) {
                curve.append(try evaluate(evaluator, runner, sequences: sequences))
            }
        }
        let isWhole = curve.count == marks.count + 1
        let loss = isWhole ? try finalLoss(runner, plan, curve) : .nan
        return BranchResult(
            point: point, learningRate: rate, steps: steps, validationLoss: loss,
            trainingLoss: isWhole ? lastLosses.reduce(0, +) / Double(lastLosses.count) : .nan,
            curve: curve, parameterHash: loss.isFinite ? try agreedHash(runner) : "")
    }

    /// Fills the state from the checkpoint.
    private func load(_ start: BranchDesign.Start, into runner: StepRunner) throws(Failure) {
        let run = RunFolder(design.run)
        _ = try runner.begin(from: run, .step(start.step), data: data)
        let hash = runner.parameterHash
        try communicator.agree { () throws(Failure) in
            guard hash != start.parameterHash else { return }
            throw Failure.file(
                .badData, run.checkpoints,
                "the checkpoint of step \(start.step) is not the one from which the other branches "
                    + "started", remedy: "give --out a new folder")
        }
    }

    /// Returns a function that loads the micro-batches of a branch.
    private func batches(
        of point: BranchDesign.Point, _ plan: TrainingPlan
    ) -> StepRunner.Batches {
        let load = TrainingInput(plan: plan, data: data).makeBatches()
        // The runner counts samples as if all earlier steps had had the branch's batch.
        let shift = design.firstSample(of: point) - point.step * point.batch
        return { sample, sequence in load(sample + shift, sequence) }
    }

    private func evaluator(_ plan: TrainingPlan, windowLimit: Int) -> Evaluator {
        Evaluator(
            data: data, microBatch: plan.lanes.microBatch, windowLimit: windowLimit,
            communicator: communicator)
    }

    private func evaluate(
        _ evaluator: Evaluator, _ runner: StepRunner, sequences: Int
    ) throws(Failure) -> BranchResult.CurvePoint {
        let evaluation = try evaluator.run(runner.model, parameters: runner.state.parameters)
        return BranchResult.CurvePoint(
            tokens: sequences * design.contextLength, loss: evaluation.loss)
    }

    /// Returns the loss over the run's own windows.
    private func finalLoss(
        _ runner: StepRunner, _ plan: TrainingPlan, _ curve: [BranchResult.CurvePoint]
    ) throws(Failure) -> Double {
        let windows = trunk.recipe.evaluation.windows
        if windows == design.curveWindowLimit(of: trunk.recipe), let last = curve.last {
            return last.loss
        }
        return try evaluator(plan, windowLimit: windows)
            .run(runner.model, parameters: runner.state.parameters).loss
    }

    /// Returns the hash of the parameters after checking that all ranks have the same.
    private func agreedHash(_ runner: StepRunner) throws(Failure) -> String {
        let hash = runner.parameterHash
        try communicator.sameOnAllRanks(
            "parameters' hash", hash,
            remedy: "a rank's memory or build is at fault, so resume the branches")
        return hash
    }
}
