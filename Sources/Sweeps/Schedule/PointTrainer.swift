import Compute
import MPI
import Recipes
import Statistics
import Support
import Telemetry
import Training
import Verdicts

/// The object that trains points of a sweep, one after another, on the ranks of one group.
struct PointTrainer {
    let specification: SweepSpecification
    let folder: SweepFolder
    let dataPath: String
    /// The group's part of the sweep's job.
    let job: Job
    let engine: ComputeEngine
    /// The trained model from which every run starts, on the group's first rank; nil for new
    /// parameters.
    let initialModel: InitialModel?

    private var group: Communicator { job.communicator }

    /// The outcome of a point's training.
    enum Outcome {
        /// The ending, on the group's first rank only.
        case ended(Ending?)
        /// A signal stopped the training; the point resumes from its checkpoint later.
        case stopped
    }

    /// The result of a point and its durations.
    struct Ending {
        let result: PointResult
        /// The median duration of a step.
        let secondsPerStep: Double
        /// The duration of the whole run; nil if it was resumed.
        let seconds: Double?
    }

    /// Trains a point to its end, from its newest checkpoint if it has one. Collective: every rank
    /// of the group must call this.
    func train(_ point: SweepPoint) throws(Failure) -> Outcome {
        let start = MonotonicClock.nanoseconds
        let run = folder.run(of: point)
        let begun = try group.fromFirstRank { () throws(Failure) in
            run.holdsRun ? try run.read(run.recipe) : ""
        }
        let recipe = try group.agree { () throws(Failure) in
            var recipe = try specification.recipe(for: point)
            // A micro-batch that was chosen by another machine's memory stays, with its bits.
            if recipe.training.microBatch == 0, !begun.isEmpty {
                let begun = try Recipe(toml: begun, name: run.recipe)
                recipe.training.microBatch = begun.training.microBatch
            }
            return recipe
        }
        let input = try job.prepare(recipe, dataPath: dataPath)
        let isResumed = try group.onFirstRank { () throws(Failure) in try prepare(run, input) }
        // The grid of a sweep contains bad rates on purpose, so they deserve no warning.
        let trainer = try Trainer(
            input, run: run, job: job, engine: engine, warnsOfWrongRates: false)
        // Only the first rank has looked for a run.
        if try group.isTrueOnAnyRank(isResumed == true) {
            _ = try trainer.resume(orStartFrom: initialModel)
        } else {
            try trainer.start(from: initialModel)
        }
        let diverged: Bool
        do throws(Failure) {
            switch try trainer.run() {
            case .checkpointed:
                try trainer.free()
                return .stopped
            case .finished, .stoppedEarly: diverged = false
            }
        } catch {
            guard trainer.hasDiverged else { throw error }
            diverged = true
        }
        try trainer.free()
        return .ended(
            try group.onFirstRank { () throws(Failure) in
                let (result, secondsPerStep) = try ending(
                    of: point, input.plan, run, diverged: diverged)
                let seconds = Double(MonotonicClock.nanoseconds - start) * 1e-9
                return Ending(
                    result: result, secondsPerStep: secondsPerStep,
                    seconds: isResumed == true ? nil : seconds)
            })
    }

    /// Creates the point's folder unless it exists; returns whether it existed.
    private func prepare(_ run: RunFolder, _ input: TrainingInput) throws(Failure) -> Bool {
        if run.holdsRun { return true }
        // A killed start left this folder. The sweep's lock keeps others from using it.
        let partial = run.path + AtomicFolder.partialSuffix
        if FileSystem.exists(partial) { try FileSystem.removeFlatFolder(partial) }
        try run.create(
            recipe: input.plan.recipe.toml, dataPath: input.data.path,
            tokenizerFrom: input.data.tokenizer?.savedForm, initialModel: initialModel?.record)
        return false
    }

    /// Returns the result of a point from its log, and the median duration of a step.
    private func ending(
        of point: SweepPoint, _ plan: TrainingPlan, _ run: RunFolder, diverged: Bool
    ) throws(Failure) -> (result: PointResult, secondsPerStep: Double) {
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
            throw .file(
                .inputOutput, run.metrics,
                "lacks the validation loss of step \(mark), perhaps because the disk was full",
                remedy: "free some space, remove the folder \(run.path), and resume with --resume")
        }
        // A loss that is not finite is null in the log, so the curve lacks it.
        let isWhole = plan.recipe.evaluation.at.allSatisfy { mark in
            curve.contains { $0.step == mark }
        }
        let seconds = records.compactMap { $0["step_seconds"] }
        return (
            PointResult(
                point: point, learningRate: plan.rate.peakLearningRate,
                diverged: diverged || !isWhole, curve: curve,
                noiseScale: records.last { $0.fields["noise_scale"] != nil }?["noise_scale"]),
            seconds.isEmpty ? 0 : median(seconds)
        )
    }
}
