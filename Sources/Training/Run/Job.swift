import Compute
import Logging
import MPI
import Recipes
import Support
import Telemetry

/// The ranks that run a command together, and the set-up that all commands share.
package struct Job: Sendable {
    package let communicator: Communicator
    /// The number of threads of each rank.
    package let threads: Int
    /// The way the first rank shows progress.
    package let progress: ProgressMode
    /// Whether bf16 may be emulated on a processor without bf16 instructions.
    package let emulatesBF16: Bool
    /// The thread level that the MPI library provides.
    package let threadLevel: MPIEnvironment.ThreadLevel
    private static let logger = Logger(label: "lockstep")

    /// Creates the job of a communicator's ranks, each with `threads` threads.
    package init(
        _ communicator: Communicator, threads: Int, progress: ProgressMode, emulatesBF16: Bool,
        threadLevel: MPIEnvironment.ThreadLevel
    ) {
        self.communicator = communicator
        self.threads = threads
        self.progress = progress
        self.emulatesBF16 = emulatesBF16
        self.threadLevel = threadLevel
    }

    /// Returns the part of the job that a group of its ranks runs, without its own progress line.
    package func part(for group: Communicator) -> Job {
        Job(
            group, threads: threads, progress: .none, emulatesBF16: emulatesBF16,
            threadLevel: threadLevel)
    }

    package var isFirstRank: Bool { communicator.rank == 0 }

    /// The numbers of ranks and threads, for messages.
    package var layout: String { Format.layout(ranks: communicator.size, threads: threads) }

    /// Starts the rank's threads.
    package func makeEngine() -> ComputeEngine { ComputeEngine(team: rankTeam(threads: threads)) }

    // MARK: - Messages

    /// Logs a message on the first rank only.
    package func announce(_ message: @autoclosure () -> String) {
        if isFirstRank { Self.logger.notice("\(message())") }
    }

    /// Logs a warning on the first rank only.
    package func warn(_ message: @autoclosure () -> String) {
        if isFirstRank { Self.logger.warning("\(message())") }
    }

    /// Returns a progress line that only the first rank shows.
    package func progressLine(
        _ title: String, done: Int = 0, total: Int, unit: ProgressUnit
    ) -> ProgressLine {
        ProgressLine(
            title, done: done, total: total, unit: unit, mode: isFirstRank ? progress : .none,
            environment: processEnvironment())
    }

    /// Returns whether any rank has received a signal that requests a stop. Collective: every rank
    /// must call this.
    package func isStopRequested() throws(Failure) -> Bool {
        try communicator.isTrueOnAnyRank(StopSignals.stopRequested)
    }

    // MARK: - Set-up

    /// Checks that every rank's processor has the instructions for a precision. Collective: every
    /// rank must call this.
    ///
    /// - Throws: `Failure` (configuration) if a processor lacks them; it recommends fp32.
    package func requireProcessor(for precision: Precision) throws(Failure) {
        try communicator.agree { () throws(Failure) in
            try precision.requireProcessor(emulates: emulatesBF16)
        }
    }

    /// Opens a recipe's data, settles its vocabulary, and resolves its plan. Collective: every rank
    /// must call this.
    ///
    /// - Parameters:
    ///   - isRemembered: whether the path was read from a run or a sweep instead of the command line.
    ///   - followsBatchSchedule: whether the command can follow a batch schedule.
    /// - Throws: `Failure`, the same on all ranks, if the data or the plan is invalid, if a
    ///   processor lacks the precision, or if the ranks' recipes or data differ.
    package func prepare(
        _ recipe: Recipe, dataPath: String, isRemembered: Bool = false,
        followsBatchSchedule: Bool = false
    ) throws(Failure) -> TrainingInput {
        let input = try communicator.agree { () throws(Failure) in
            var recipe = recipe
            if !followsBatchSchedule { try recipe.requireOneBatch() }
            let data = try TrainingData(
                path: dataPath, recipe: &recipe, isRemembered: isRemembered,
                rank: communicator.rank)
            return TrainingInput(
                plan: try TrainingPlan(recipe, ranks: communicator.size), data: data)
        }
        try communicator.sameOnAllRanks("recipe's hash", SHA256.hash(input.plan.recipe.toml))
        try communicator.sameOnAllRanks("training data", input.data.fingerprint)
        try requireProcessor(for: input.plan.recipe.training.precision)
        let isUnset = recipe.training.microBatch == 0
        guard try communicator.isTrueOnAnyRank(isUnset),
            let plan = try input.plan.withFittingMicroBatch(communicator)
        else { return input }
        announce(
            "a lane of \(Format.counted(input.plan.lanes.microBatch, "sequence")) at once would not "
                + "fit into memory, so micro_batch = \(plan.lanes.microBatch)")
        return TrainingInput(plan: plan, data: input.data)
    }
}

/// The plan and the data of a training run, the same on all ranks.
package struct TrainingInput: Sendable {
    package let plan: TrainingPlan
    package let data: TrainingData

    package init(plan: TrainingPlan, data: TrainingData) {
        self.plan = plan
        self.data = data
    }

    func makeLoader() -> SampleLoader {
        SampleLoader(
            dataset: data.training, contextLength: plan.recipe.model.contextLength,
            microBatch: plan.lanes.microBatch)
    }

    /// Returns a function that loads micro-batches in the run's order of samples.
    package func makeBatches() -> StepRunner.Batches {
        let loader = makeLoader()
        return { [data] sample, sequence in
            RankActivity.during(.readingData) {
                loader.load(firstSample: sample, order: data.order, firstSequence: sequence)
            }
        }
    }
}

extension Precision {
    /// Checks that the processor has the instructions for the precision, unless it is emulated.
    ///
    /// - Throws: `Failure` (configuration) if it lacks them; it recommends fp32.
    package func requireProcessor(emulates: Bool) throws(Failure) {
        guard self == .bf16, !emulates, !InstructionSet.best.multipliesBF16 else { return }
        throw .key(
            "[training] precision", "\"bf16\"",
            "needs a processor with AVX512-BF16 or AMX-BF16, but \(Communicator.hostName) has "
                + "neither",
            remedy: "use precision = \"fp32\", or add --emulate-bf16 to emulate bf16 at no more "
                + "than fp32's speed")
    }
}
