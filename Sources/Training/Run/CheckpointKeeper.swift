import Checkpoints
import Compute
import Logging
import MPI
import Model
import Recipes
import Support

/// The counters of a training state, with their keys in the manifest's `extra`.
enum CheckpointCounter: String, CaseIterable {
    case optimizerStep = "optimizer_step"
    case skippedSteps = "skipped_steps"
    case skippedStepsInARow = "skipped_steps_in_a_row"
}

/// The object that saves a run's state to checkpoints and loads it from them.
///
/// Rank 0 writes and reads the files, and all ranks learn whether it succeeded. Parameters are the
/// same on all ranks. The optimizer's state may be sharded; it is then sent between rank 0 and its
/// owners piece by piece. The files are the same in both cases.
///
/// A checkpoint that is written in the background is a copy of the state, which a thread of rank 0
/// writes while the training continues. There is at most one at a time.
final class CheckpointKeeper {
    let run: RunFolder
    let files: CheckpointFiles
    let plan: TrainingPlan
    let data: TrainingData
    let layout: GPTLayout
    let communicator: Communicator
    /// The transfer of the optimizer's shards; nil if every rank has the whole state.
    let transfer: ShardTransfer?
    let logger = Logger(label: "lockstep")
    private let writesInBackground: Bool
    /// The step of the last checkpoint that was saved or loaded.
    var savedStep: Int?
    /// The evaluation with the lowest loss among steps with a checkpoint.
    var best: BestEvaluation?
    /// The checkpoint that is being written in the background.
    private var pending: Pending?
    /// The memory of copies on rank 0; nil before the first.
    private var copy: StateCopy?
    private var lost = LostCheckpoints()

    /// The key of the run's recipe in the manifest's `extra`.
    static let recipeKey = "recipe"
    /// The key of the model from which the run started, in the manifest's `extra`.
    private static let initialModelKey = "initial_model"

    /// A checkpoint whose outcome the ranks do not know yet.
    private struct Pending {
        let step: Int
        /// The evaluation that becomes the best if the checkpoint is written; nil for none.
        let best: BestEvaluation?
        /// The writing on rank 0; nil on the other ranks.
        let task: BackgroundTask<SaveResult>?
    }

    /// Returns the name of the file with the parameters that evaluations use.
    static func evaluatedFile(of recipe: Recipe) -> String {
        recipe.training.averagingPower == nil
            ? CheckpointFiles.parameters : CheckpointFiles.average
    }

    /// Opens the store of a run's checkpoints. Collective: every rank must call this.
    ///
    /// - Parameters:
    ///   - shards: the ranges of the arena that each rank updates, by rank.
    ///   - writesInBackground: whether checkpoints that the run does not end with are written in
    ///     the background, the same on all ranks.
    init(
        run: RunFolder, plan: TrainingPlan, data: TrainingData, layout: GPTLayout,
        shards: [[Range<Int>]], communicator: Communicator, writesInBackground: Bool = false
    ) throws(Failure) {
        self.run = run
        files = try CheckpointFiles(
            run: run, keep: plan.recipe.checkpoint.keep, layout: layout.arena,
            configuration: plan.recipe.model.huggingFaceConfiguration(
                endOfText: data.tokenizer?.endOfText))
        self.plan = plan
        self.data = data
        self.layout = layout
        self.communicator = communicator
        self.writesInBackground = writesInBackground
        transfer =
            plan.recipe.optimizer.sharded && communicator.size > 1
            ? try ShardTransfer(shards: shards, communicator: communicator) : nil
    }

    /// Checks that all ranks have the same bits of parameters; returns their hash, or an empty
    /// string on a rank that uses another rank's memory. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (I/O) on all ranks if they differ; it names the first tensor
    ///   that differs, and the ranks.
    @discardableResult
    func compareParameters(of state: TrainingState) throws(Failure) -> String {
        try communicator.agree { () throws(Failure) in
            try state.checks?.requireUnchanged(layout.arena)
        }
        // Ranks that share the parameters of a host need one hash.
        let isFirst = state.parameterMemory.isFirst
        let hash = isFirst ? layout.arena.hash(of: state.parameters.values) : ""
        guard try !communicator.isSameOnAllRanks(isFirst ? hash : nil) else { return hash }
        let failure = try ReplicaDifference.failure(
            parameters: state.parameters.values, layout: layout.arena, communicator: communicator)
        try communicator.agree { () throws(Failure) -> Void in throw failure }
        return hash
    }

    func steps() throws(Failure) -> Set<Int> { Set(try files.store.candidates().map(\.step)) }

    /// Returns the step of the newest good checkpoint; nil if there is none. Collective: every rank
    /// must call this.
    func newestGoodStep() throws(Failure) -> Int? {
        try finishPending()
        let own = try communicator.onFirstRank { () throws(Failure) -> Int in
            try files.store.newestGood()?.step ?? -1
        }
        let step = try communicator.allReduce(Int64(own ?? -1), .maximum)
        return step < 0 ? nil : Int(step)
    }

    // MARK: - Saving

    /// Saves the state after its step. Collective: every rank must call this.
    ///
    /// If the disk is full or fails, the run warns once, loses this checkpoint and continues with
    /// the earlier ones, unless the checkpoint `isRequired` because the run ends with it. Such a
    /// checkpoint is complete when this returns. Others may be written in the background; their
    /// failures appear in `finishPending`, which must be called before the next `save`.
    ///
    /// - Parameter evaluation: the evaluation that becomes the best with this checkpoint; nil for
    ///   none.
    /// - Throws: `Failure` (I/O) on all ranks if a required checkpoint could not be written.
    func save(
        _ state: TrainingState, isRequired: Bool, best evaluation: BestEvaluation?
    ) throws(Failure) {
        precondition(pending == nil, "the checkpoint before this one must be settled")
        guard savedStep != state.step else { return }
        let manifest = manifest(of: state, try compareParameters(of: state))
        let kept = (evaluation ?? best)?.step
        guard writesInBackground, !isRequired else {
            // Ranks send their shards while rank 0 writes, so they can agree only afterward.
            let outcome = try writeTogether(state, manifest, best: kept)
            return try settle(
                outcome, step: state.step, best: evaluation, isRequired: isRequired)
        }
        var task: BackgroundTask<SaveResult>?
        if let copy = try copyTogether(state) {
            task = BackgroundTask(named: "checkpoint") { [files] (pace) throws(Failure) in
                try files.save(copy.tensors, manifest: manifest, best: kept, pace: pace)
            }
        }
        pending = Pending(step: state.step, best: evaluation, task: task)
    }

    /// The best evaluation if the checkpoint that is being written succeeds.
    var expectedBest: BestEvaluation? { pending?.best ?? best }

    /// Whether this rank has written a checkpoint in the background whose outcome the ranks do not
    /// know yet.
    var hasNews: Bool { pending?.task?.hasEnded == true }

    /// Waits for the checkpoint that is written in the background, if there is one, and settles its
    /// outcome. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` on all ranks if it could not be written for another reason than the disk.
    func finishPending() throws(Failure) {
        guard let pending else { return }
        self.pending = nil
        let outcome = pending.task.map { task in
            RankActivity.during(.writingCheckpoint) { task.wait() }
        }
        try settle(outcome, step: pending.step, best: pending.best, isRequired: false)
    }

    /// Waits for the thread that writes a checkpoint, which must not outlive the run.
    func waitForThread() {
        guard let task = pending?.task else { return }
        RankActivity.during(.writingCheckpoint) { _ = task.wait() }
    }

    /// Makes the outcome of a checkpoint known on all ranks. Collective: every rank must call this.
    ///
    /// - Parameter outcome: the outcome on rank 0; nil on the other ranks.
    private func settle(
        _ outcome: Result<SaveResult, Failure>?, step: Int, best evaluation: BestEvaluation?,
        isRequired: Bool
    ) throws(Failure) {
        do throws(Failure) {
            let result = try communicator.agree { () throws(Failure) in try outcome?.get() }
            savedStep = step
            if let evaluation { best = evaluation }
            for warning in result?.warnings ?? [] { logger.warning("\(warning.sentence)") }
            if let result { logger.info("checkpoint \(result.checkpoint.folder)") }
            warn(lost.recover())
        } catch {
            if isRequired || error.code != .inputOutput { throw error }
            warn(lost.add(step, because: error))
        }
    }

    private func warn(_ warning: String?) {
        if let warning, communicator.rank == 0 { logger.warning("\(warning)") }
    }

    /// Copies the state into rank 0's memory, to which the other ranks send their shards.
    ///
    /// - Returns: the copy on rank 0; nil on the other ranks.
    /// - Throws: `Failure` if MPI reports an error.
    private func copyTogether(_ state: TrainingState) throws(Failure) -> StateCopy? {
        guard communicator.rank == 0 else {
            try transfer?.serve(state.optimizer.states.map(\.buffer))
            return nil
        }
        let copy = self.copy ?? StateCopy(of: state, layout: layout.arena)
        self.copy = copy
        try copy.fill(from: state, by: transfer)
        try transfer?.endServing()
        return copy
    }

    /// Writes a checkpoint on rank 0, to which the other ranks send their shards.
    ///
    /// - Returns: the outcome on rank 0; nil on the other ranks.
    /// - Throws: `Failure` if MPI reports an error.
    private func writeTogether(
        _ state: TrainingState, _ manifest: Manifest, best: Int?
    ) throws(Failure) -> Result<SaveResult, Failure>? {
        guard communicator.rank == 0 else {
            try transfer?.serve(state.optimizer.states.map(\.buffer))
            return nil
        }
        let moments = state.optimizer.states.indices.flatMap { index in
            state.optimizer.tensors(of: state.optimizer.states[index])
                .map { source(of: $0, inState: index, state) }
        }
        let tensors = CheckpointTensors(
            parameters: state.parameters.values, average: state.average?.parameters.values,
            moments: moments)
        let outcome = Result { () throws(Failure) in
            try RankActivity.during(.writingCheckpoint) { () throws(Failure) in
                try files.save(tensors, manifest: manifest, best: best)
            }
        }
        try transfer?.endServing()
        return outcome
    }

    /// Returns a tensor's part of one of the optimizer's states, such as its first moments.
    private func source(
        of tensor: NamedTensor, inState index: Int, _ state: TrainingState
    ) -> TensorSource {
        let states = state.optimizer.states
        let name = CheckpointFiles.name(tensor, inState: states[index].name)
        guard let transfer else {
            return TensorSource(
                name: name, shape: tensor.shape, base: states[index].buffer.base + tensor.offset)
        }
        let buffers = states.map(\.buffer)
        return TensorSource(name: name, type: .float32, shape: tensor.shape) {
            (write) throws(Failure) in
            try transfer.gather(tensor.range, of: buffers, at: index, write)
        }
    }

    private func manifest(of state: TrainingState, _ parameterHash: String) -> Manifest {
        var manifest = Manifest(
            step: state.step, tokensSeen: plan.tokens(after: state.step),
            seed: plan.recipe.training.seed,
            sampleCursor: plan.samples(after: state.step), lanes: plan.lanes.laneCount,
            rankCount: communicator.size, recipeHash: SHA256.hash(plan.recipe.withoutFreeKeys.toml),
            dataFingerprint: data.fingerprint, tokenizerFingerprint: data.tokenizerFingerprint,
            parameterHash: parameterHash, version: version,
            extra: [
                CheckpointCounter.optimizerStep.rawValue: "\(state.optimizer.step)",
                CheckpointCounter.skippedSteps.rawValue: "\(state.nonFinite.skipped)",
                CheckpointCounter.skippedStepsInARow.rawValue: "\(state.nonFinite.skippedInARow)",
                Self.recipeKey: plan.recipe.toml,
            ])
        if communicator.rank == 0, let record = try? run.readInitialModel() {
            manifest.extra[Self.initialModelKey] = record.json.text
        }
        return manifest
    }
}
