import Compute
import MPI
import Recipes
import Statistics
import Support
import Telemetry
import Training

/// Trains points of a sweep, one after another, on the ranks of one group.
struct PointTrainer {
    let specification: SweepSpecification
    let folder: SweepFolder
    let dataPath: String
    /// The part of the sweep's job that the group runs.
    let job: Job
    let engine: ComputeEngine

    private var group: Communicator { job.communicator }

    /// How the training of a point ended.
    enum Outcome {
        case ended(PointResult, secondsPerStep: Double)
        /// A signal asked for it; the point goes on from its checkpoint later.
        case stopped
    }

    /// Trains a point to its end, from its newest checkpoint if it has one. Collective in the group.
    func train(_ point: SweepPoint) throws(Failure) -> Outcome {
        let recipe = try group.agree { () throws(Failure) in
            try specification.recipe(for: point)
        }
        let input = try job.prepare(recipe, dataPath: dataPath)
        let plan = input.plan
        let run = folder.run(of: point)
        let isResumed = try group.agree { () throws(Failure) in
            group.rank == 0 ? try prepare(run, input) : false
        }
        // A sweep's grid has wrong rates on purpose.
        let trainer = try Trainer(
            input, run: run, job: job, engine: engine, warnsOfWrongRates: false)
        // Only the first rank has looked.
        if try group.isTrueOnAnyRank(isResumed) {
            _ = try trainer.resume()
        } else {
            try trainer.start()
        }
        let diverged: Bool
        do throws(Failure) {
            switch try trainer.run() {
            case .checkpointed:
                try trainer.free()
                return .stopped
            case .finished: diverged = false
            }
        } catch {
            guard trainer.hasDiverged else { throw error }
            diverged = true
        }
        try trainer.free()
        let (result, seconds) = try group.agree { () throws(Failure) -> (PointResult, Double) in
            try ending(of: point, plan, run, diverged: diverged)
        }
        return .ended(result, secondsPerStep: seconds)
    }

    /// Makes the point's folder where there is none yet; says whether there was one.
    private func prepare(
        _ run: RunFolder, _ input: TrainingInput
    ) throws(Failure) -> Bool {
        if run.holdsRun { return true }
        // What a start that was killed has left: the sweep's lock is ours, so nobody is at it.
        let partial = run.path + AtomicFolder.partialSuffix
        if FileSystem.exists(partial) { try FileSystem.removeFlatFolder(partial) }
        try run.create(
            recipe: input.plan.recipe.toml, dataPath: input.data.path,
            tokenizerFrom: input.data.tokenizer?.savedForm)
        return false
    }

    /// What the point's log says; all ranks read it, so that they know the same.
    private func ending(
        of point: SweepPoint, _ plan: TrainingPlan, _ run: RunFolder, diverged: Bool
    ) throws(Failure) -> (PointResult, Double) {
        guard group.rank == 0 else {
            return (
                PointResult(
                    point: point, learningRate: plan.rate.peakLearningRate, diverged: diverged,
                    curve: []), 0
            )
        }
        let records = try MetricsLog.read(run.metrics)
        var curve: [CurvePoint] = []
        for record in records {
            guard let loss = record["validation_loss"], let step = record.step,
                step > curve.last?.step ?? -1
            else { continue }
            curve.append(
                CurvePoint(step: step, tokens: step * plan.tokensPerStep, validationLoss: loss))
        }
        let evaluated = Set(records.filter { $0.fields["validation_loss"] != nil }.map(\.step))
        if !diverged, let mark = plan.recipe.evaluation.at.first(where: { !evaluated.contains($0) })
        {
            throw Failure(
                .inputOutput,
                "\(run.metrics) lacks the validation loss of step \(mark), as after a full disk: make "
                    + "room, remove the folder \(run.path), and go on with --resume.")
        }
        // A loss that is not a number is null in the log and not a point of the curve.
        let isWhole = plan.recipe.evaluation.at.allSatisfy { mark in
            curve.contains { $0.step == mark }
        }
        let seconds = records.compactMap { $0["step_seconds"] }
        return (
            PointResult(
                point: point, learningRate: plan.rate.peakLearningRate,
                diverged: diverged || !isWhole, curve: curve),
            seconds.isEmpty ? 0 : median(seconds)
        )
    }
}
