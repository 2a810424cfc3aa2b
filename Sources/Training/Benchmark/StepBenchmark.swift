import Failures
import Kernels
import MPI
import Model
import Telemetry

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Measures training steps on random tokens: the arithmetic of a run without its data.
package struct StepBenchmark: Sendable {
    package var size: BenchmarkSize
    package var precision: TrainingConfiguration.Precision
    /// Steps that are measured, after `warmupSteps`.
    package var steps: Int
    /// `section.key=value` for the recipe that the size stands for.
    package var overrides: [String]
    package var threads: Int
    package var progress: ProgressMode

    /// Steps before the first that counts: memory is touched and kernels are planned in them.
    package static let warmupSteps = 2

    package init(
        size: BenchmarkSize, precision: TrainingConfiguration.Precision, steps: Int,
        overrides: [String], threads: Int, progress: ProgressMode
    ) {
        self.size = size
        self.precision = precision
        self.steps = steps
        self.overrides = overrides
        self.threads = threads
        self.progress = progress
    }

    /// Takes the steps; all ranks must come here.
    ///
    /// - Throws: `Failure` (configuration; usage) for an override that cannot be, and what MPI reports.
    package func run(on communicator: Communicator) throws(Failure) -> StepReport {
        try communicator.sameOnAllRanks(
            "build", try communicator.agree { () throws(Failure) in try digestOfThisProgram() },
            remedy: "install the same build on every host")
        let plan = try communicator.agree { () throws(Failure) in
            try TrainingPlan(try recipe(ranks: communicator.size), ranks: communicator.size)
        }
        try plan.requireMemory(communicator)
        let engine = ComputeEngine(threads: threads, yields: ranksYield)
        let peak = try ArithmeticPeak.measure(team: engine.team, communicator: communicator)
        let step = try TrainingStep(
            plan: plan, communicator: communicator, engine: engine,
            idleParameters: idleParameters(plan))
        try step.initialize()
        let batch = SyntheticBatch(plan: plan, rank: communicator.rank)
        let records = try takeSteps(step, batch, isShown: communicator.rank == 0)
        return StepReport(
            benchmark: self, plan: plan, ranks: communicator.size, records: records,
            peakFlopsPerCore: peak.flopsPerCore, memory: step.memory,
            residentBytes: Int(try communicator.allReduce(Int64(peakResidentBytes), .maximum)))
    }

    private func recipe(ranks: Int) throws(Failure) -> Recipe {
        let toml = size.recipe(
            ranks: ranks, steps: Self.warmupSteps + steps, precision: precision
        ).toml
        return try Recipe(toml: toml, name: "the recipe of \(size.name)", overrides: overrides)
    }

    /// The position table's rows beyond the sequences, which are reduced and updated like all others.
    private func idleParameters(_ plan: TrainingPlan) -> Int {
        let model = plan.recipe.model
        return max(0, size.positions - model.contextLength) * model.width
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

/// The most memory that this process has had resident, in bytes.
private var peakResidentBytes: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
}
