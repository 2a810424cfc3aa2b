import Compute
import MPI
import Recipes
import Support
import Telemetry
import Training

/// Measures training steps on random tokens: the arithmetic of a run without its data.
package struct StepBenchmark: Sendable {
    package var size: BenchmarkSize
    package var precision: Precision
    /// Whether bf16 may run on a processor that lacks it.
    package var emulatesBF16: Bool
    /// Steps that are measured, after `warmupSteps`.
    package var steps: Int
    /// `section.key=value` for the recipe that the size stands for.
    package var overrides: [String]
    /// Tokens in a sequence; nil for the size's own, or the context length where that is less.
    package var sequenceLength: Int?
    package var threads: Int
    package var progress: ProgressMode
    /// Where to write a trace of the steps; nil for none.
    package var tracePath: String?

    /// Steps before the first that counts: memory is touched and kernels are planned in them.
    package static let warmupSteps = 2

    package init(
        size: BenchmarkSize, precision: Precision, emulatesBF16: Bool, steps: Int,
        overrides: [String], sequenceLength: Int? = nil, threads: Int, progress: ProgressMode,
        tracePath: String? = nil
    ) {
        self.size = size
        self.precision = precision
        self.emulatesBF16 = emulatesBF16
        self.steps = steps
        self.overrides = overrides
        self.sequenceLength = sequenceLength
        self.threads = threads
        self.progress = progress
        self.tracePath = tracePath
    }

    /// Takes the steps; all ranks must come here.
    ///
    /// - Throws: `Failure` (configuration; usage) for an override that cannot be, and what MPI
    ///   reports.
    package func run(on communicator: Communicator) throws(Failure) -> StepReport {
        let plan = try communicator.agree { () throws(Failure) in
            let plan = try makePlan(ranks: communicator.size)
            try plan.recipe.training.precision.requireProcessor(emulates: emulatesBF16)
            return plan
        }
        try plan.requireMemory(communicator)
        let trace = try tracePath.map { (path) throws(Failure) in
            try Trace(path: path, communicator: communicator)
        }
        tell(
            """
            measuring steps of \(size.name) in \(precision.rawValue) on \
            \(Format.layout(ranks: communicator.size, threads: threads)): the cores' peak, \
            \(Self.warmupSteps) steps to warm up and \(Format.counted(steps, "step")) that \
            \(steps == 1 ? "counts" : "count")
            """, from: communicator)
        let engine = ComputeEngine(team: rankTeam(threads: threads))
        let peak = try ArithmeticPeak.measure(
            plan.recipe.training.precision, team: engine.team, communicator: communicator)
        let step = try TrainingStep(
            plan: plan, communicator: communicator, engine: engine, trace: trace)
        try step.initialize()
        let batch = SyntheticBatch(plan: plan)
        let memory = try step.memory(batchBytes: batch.bytes)
        let records = try takeSteps(step, batch, isShown: communicator.rank == 0)
        try trace?.write()
        return StepReport(
            benchmark: self, plan: plan, ranks: communicator.size, records: records,
            peakFlopsPerCore: peak.flopsPerCore, memory: memory,
            residentBytes: try ResidentMemory.peak(of: communicator), notice: step.reductionNotice)
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
        let toml = size.recipe(
            ranks: ranks, steps: Self.warmupSteps + steps, precision: precision
        ).toml
        let recipe = try Recipe(
            toml: toml, name: "the recipe of \(size.name)", overrides: overrides)
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
        _ step: TrainingStep, _ batch: SyntheticBatch, isShown: Bool
    ) throws(Failure) -> [StepRecord] {
        let progress =
            isShown
            ? ProgressLine(
                "measuring", total: Self.warmupSteps + steps,
                unit: .things("steps", showsRate: false), mode: self.progress,
                environment: processEnvironment()) : nil
        defer { progress?.finish() }
        var records: [StepRecord] = []
        records.reserveCapacity(steps)
        for index in 0..<Self.warmupSteps + steps {
            let (record, _) = try step.take { _, firstSequence in
                batch.load(firstSequence: firstSequence)
            }
            if index >= Self.warmupSteps { records.append(record) }
            progress?.update(done: index + 1)
        }
        return records
    }
}
