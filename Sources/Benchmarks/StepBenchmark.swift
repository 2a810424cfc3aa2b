import Compute
import Recipes
import Support
import Training

/// Measures training steps on random tokens: the arithmetic of a run without its data.
package struct StepBenchmark: Sendable {
    package var size: BenchmarkSize
    package var precision: Precision
    /// Steps that are measured, after `warmupSteps`.
    package var steps: Int
    /// `section.key=value` for the recipe that the size stands for.
    package var overrides: [String]
    /// Tokens in a sequence; nil for the size's own, or the context length where that is less.
    package var sequenceLength: Int?
    /// Where to write a trace of the steps; nil for none.
    package var tracePath: String?

    /// Steps before the first that counts: memory is touched and kernels are planned in them.
    package static let warmupSteps = 2

    package init(
        size: BenchmarkSize, precision: Precision, steps: Int, overrides: [String],
        sequenceLength: Int?, tracePath: String?
    ) {
        self.size = size
        self.precision = precision
        self.steps = steps
        self.overrides = overrides
        self.sequenceLength = sequenceLength
        self.tracePath = tracePath
    }

    /// Takes the steps and returns what they took. Collective.
    ///
    /// - Throws: `Failure` (configuration; usage) for an override that cannot be, and what MPI
    ///   reports.
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
            measuring steps of \(size.name) in \(precision.rawValue) on \(job.layout): the cores' \
            peak, \(Self.warmupSteps) steps to warm up and \(Format.counted(steps, "step")) that \
            \(steps == 1 ? "counts" : "count")
            """)
        let engine = job.makeEngine()
        let peak = try ArithmeticPeak.measure(
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
            throw Failure(
                .configuration,
                "[optimizer] learning_rate = \(plan.recipe.optimizer.learningRate): the loss of the "
                    + "last step is not a number; lower the rate, or set clip_norm.")
        }
        return StepReport(
            benchmark: self, plan: plan, ranks: communicator.size, threads: job.threads,
            records: records,
            peakFlopsPerCore: peak.flopsPerCore, memory: memory,
            residentBytes: try ResidentMemory.peak(of: communicator), notice: runner.reductionNotice
        )
    }

    /// What a benchmark does not do, and how many steps it takes.
    private static let keysWithoutEffect = ["training.steps", "evaluation.", "checkpoint."]

    private func makePlan(ranks: Int) throws(Failure) -> TrainingPlan {
        for override in overrides where Self.keysWithoutEffect.contains(where: override.hasPrefix) {
            throw Failure(
                .usage,
                "--set \(override) has no effect on a benchmark, which neither evaluates nor writes "
                    + "checkpoints, and takes as many steps as --steps says: leave it out.")
        }
        let recipe = try size.recipe(
            ranks: ranks, steps: Self.warmupSteps + steps, precision: precision
        ).applying(overrides)
        guard recipe.model.vocabularySize > 0 else {
            throw Failure(
                .configuration,
                "[model] vocabulary_size = 0 stands for a tokenizer's, of which a benchmark has none: "
                    + "give it a number from 1 up.")
        }
        let context = recipe.model.contextLength
        let length = sequenceLength ?? min(size.sequenceLength, context)
        guard length >= 1, length <= context else {
            throw Failure(
                .usage,
                "--sequence-length is \(length), but must be from 1 to the context length, which is "
                    + (length < 1
                        ? "\(context): use one from there."
                        : "\(context): use less, or raise it with --set "
                            + "model.context_length=\(length)."))
        }
        return try TrainingPlan(recipe, ranks: ranks, sequenceLength: length)
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
