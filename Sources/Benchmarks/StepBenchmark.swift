import Compute
import MPI
import Recipes
import Support
import Training

/// Measures training steps on random tokens, which do the arithmetic of a run without its data.
package struct StepBenchmark: Sendable {
    package var subject: StepSubject
    /// The number of steps to measure after `warmupSteps`.
    package var steps: Int
    /// The overrides of the recipe, each as `section.key=value`.
    package var overrides: [String]
    /// The tokens per sequence, or nil for the lesser of the subject's number and the context length.
    package var sequenceLength: Int?
    /// The file for a trace of the steps, or nil for none.
    package var tracePath: String?

    /// The number of discarded steps, which touch memory and plan kernels.
    package static let warmupSteps = 2

    package init(
        subject: StepSubject, steps: Int, overrides: [String], sequenceLength: Int?,
        tracePath: String?
    ) {
        self.subject = subject
        self.steps = steps
        self.overrides = overrides
        self.sequenceLength = sequenceLength
        self.tracePath = tracePath
    }

    /// Takes the steps and returns the measurements. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (configuration; usage) if an override is impossible; any failure of MPI.
    package func run(in job: Job) throws(Failure) -> StepReport {
        let communicator = job.communicator
        let plan = try communicator.agree { () throws(Failure) in
            try makePlan(ranks: communicator.size)
        }
        try job.requireProcessor(for: plan.recipe.training.precision)
        try plan.requireMemory(communicator)
        let trace = try tracePath.map { (path) throws(Failure) in
            try Trace(path: path, communicator: communicator)
        }
        job.announce(
            """
            measuring steps of \(subject.name) in \(plan.recipe.training.precision.rawValue) on \
            \(job.layout): the cores' \
            peak, \(Self.warmupSteps) warm-up steps and \(Format.counted(steps, "measured step"))
            """)
        let engine = job.makeEngine()
        let peak = try ArithmeticPeak.measureFlopsPerCore(
            plan.recipe.training.precision, team: engine.team, communicator: communicator)
        let runner = try StepRunner(
            plan: plan, communicator: communicator, engine: engine, trace: trace)
        try runner.initialize()
        let batch = SyntheticBatch(plan: plan)
        let memory = try runner.memory(batchBytes: batch.bytes)
        let records = try takeSteps(runner, batch, job)
        try trace?.write()
        try communicator.agree { () throws(Failure) in
            guard records.last?.loss.isFinite != true else { return }
            throw .key(
                "[optimizer] learning_rate", plan.recipe.optimizer.learningRate,
                "gives the last step a loss that is not a number",
                remedy: "lower the rate, or set clip_norm")
        }
        return StepReport(
            benchmark: self, plan: plan, ranks: communicator.size, threads: job.threads,
            records: records, rankTimes: try rankTimes(records, runner, communicator),
            peakFlopsPerCore: peak, memory: memory,
            residentBytes: try ResidentMemory.peak(of: communicator), notice: runner.reductionNotice
        )
    }

    private func rankTimes(
        _ records: [StepRecord], _ runner: StepRunner, _ communicator: Communicator
    ) throws(Failure) -> [RankTimes] {
        try RankTimes.gather(
            StepReport.mean(records), lanes: runner.division[communicator.rank].count,
            over: communicator)
    }

    /// The prefixes of the keys that a benchmark ignores: it neither evaluates nor writes
    /// checkpoints, and takes its number of steps from `steps`.
    private static let keysWithoutEffect = ["training.steps", "evaluation.", "checkpoint."]

    private func makePlan(ranks: Int) throws(Failure) -> TrainingPlan {
        for override in overrides where Self.keysWithoutEffect.contains(where: override.hasPrefix) {
            throw Failure.option(
                "--set", override,
                "has no effect on a benchmark, which neither evaluates nor writes checkpoints "
                    + "and takes the number of steps from --steps",
                remedy: "leave it out")
        }
        let recipe = try subject.recipe(ranks, Self.warmupSteps + steps).applying(overrides)
        try Self.requireVocabulary(recipe)
        try recipe.requireOneBatch()
        let context = recipe.model.contextLength
        let length = sequenceLength ?? min(subject.sequenceLength ?? context, context)
        guard length >= 1, length <= context else {
            throw .option(
                "--sequence-length", length, "must be from 1 to the context length, \(context)",
                remedy: length < 1
                    ? "give a length in that range"
                    : "give less, or raise it with --set model.context_length=\(length)")
        }
        return try TrainingPlan(recipe, ranks: ranks, sequenceLength: length)
    }

    /// - Throws: `Failure` (configuration) if a recipe leaves the vocabulary to the tokenizer.
    static func requireVocabulary(_ recipe: Recipe) throws(Failure) {
        guard recipe.model.vocabularySize == 0 else { return }
        throw .key(
            "[model] vocabulary_size", 0,
            "means the tokenizer's size, but a benchmark has no tokenizer",
            remedy: "give it with --set model.vocabulary_size=50304")
    }

    private func takeSteps(
        _ runner: StepRunner, _ batch: SyntheticBatch, _ job: Job
    ) throws(Failure) -> [StepRecord] {
        let progress = job.progressLine(
            "measuring", total: Self.warmupSteps + steps,
            unit: .things("steps", showsRate: false))
        defer { progress.finish() }
        var records: [StepRecord] = []
        records.reserveCapacity(steps)
        for index in 0..<Self.warmupSteps + steps {
            let (record, _) = try runner.take { _, firstSequence in
                batch.load(firstSequence: firstSequence)
            }
            if index >= Self.warmupSteps { records.append(record) }
            progress.update(done: index + 1)
        }
        return records
    }
}
