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
final class CheckpointKeeper {
    private let run: RunFolder
    private let store: CheckpointStore
    private let plan: TrainingPlan
    private let data: TrainingData
    private let layout: GPTLayout
    private let communicator: Communicator
    /// The transfer of the optimizer's shards; nil if every rank has the whole state.
    private let transfer: ShardTransfer?
    private let logger = Logger(label: "lockstep")
    /// The step of the last checkpoint that was saved or loaded.
    private(set) var savedStep: Int?
    private var lost = LostCheckpoints()

    /// The file with the parameters, whose tensors are named as in Hugging Face's Transformers.
    static let parametersFile = "model.safetensors"
    private static let optimizerFile = "optimizer.safetensors"
    /// The file with the model's shape, for Hugging Face's Transformers.
    private static let configurationFile = "config.json"
    /// The file with the average of the parameters, if the recipe requests one.
    private static let averageFile = "average.safetensors"

    /// The key of the run's recipe in the manifest's `extra`.
    static let recipeKey = "recipe"

    /// Returns the name of the file with the parameters that evaluations use.
    static func evaluatedFile(of recipe: Recipe) -> String {
        recipe.training.averagingPower == nil ? parametersFile : averageFile
    }

    /// Opens the store of a run's checkpoints. Collective: every rank must call this.
    ///
    /// - Parameter shards: the ranges of the arena that each rank updates, by rank.
    init(
        run: RunFolder, plan: TrainingPlan, data: TrainingData, layout: GPTLayout,
        shards: [[Range<Int>]], communicator: Communicator
    ) throws(Failure) {
        self.run = run
        store = try run.checkpointStore(keep: plan.recipe.checkpoint.keep)
        self.plan = plan
        self.data = data
        self.layout = layout
        self.communicator = communicator
        transfer =
            plan.recipe.optimizer.sharded && communicator.size > 1
            ? try ShardTransfer(shards: shards, communicator: communicator) : nil
    }

    /// Checks that all ranks have the same bits of parameters; returns their hash, or an empty
    /// string on a rank that uses another rank's memory. Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (configuration) on all ranks if they differ; it names the first tensor
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

    func steps() throws(Failure) -> Set<Int> { Set(try store.candidates().map(\.step)) }

    /// Returns the step of the newest good checkpoint; nil if there is none. Collective: every rank
    /// must call this.
    func newestGoodStep() throws(Failure) -> Int? {
        let own = try communicator.onFirstRank { () throws(Failure) -> Int in
            try store.newestGood()?.step ?? -1
        }
        let step = try communicator.allReduce(Int64(own ?? -1), .maximum)
        return step < 0 ? nil : Int(step)
    }

    /// Saves the state after its step. Collective: every rank must call this.
    ///
    /// If the disk is full or fails, the run warns once, loses this checkpoint and continues with
    /// the earlier ones, unless the checkpoint `isRequired` because the run ends with it.
    ///
    /// - Parameter best: the step whose checkpoint is never removed; nil for none.
    /// - Throws: `Failure` (I/O) on all ranks if a required checkpoint could not be written.
    func save(_ state: TrainingState, isRequired: Bool, best: Int?) throws(Failure) {
        guard savedStep != state.step else { return }
        let parameterHash = try compareParameters(of: state)
        do throws(Failure) {
            // Ranks send their shards while rank 0 writes, so they can agree only afterward.
            let outcome = try writeTogether(state, parameterHash, best: best)
            try communicator.agree { () throws(Failure) in try outcome.get() }
            savedStep = state.step
            warn(lost.recover())
        } catch {
            if isRequired || error.code != .inputOutput { throw error }
            warn(lost.add(state.step, because: error))
        }
    }

    private func warn(_ warning: String?) {
        if let warning, communicator.rank == 0 { logger.warning("\(warning)") }
    }

    /// Writes a checkpoint on rank 0, to which the other ranks send their shards.
    ///
    /// - Returns: whether rank 0 could write; success on the other ranks.
    /// - Throws: `Failure` if MPI reports an error.
    private func writeTogether(
        _ state: TrainingState, _ parameterHash: String, best: Int?
    ) throws(Failure) -> Result<Void, Failure> {
        guard communicator.rank == 0 else {
            try transfer?.serve(state.optimizer.states.map(\.buffer))
            return .success(())
        }
        let outcome = Result { () throws(Failure) in
            try RankActivity.during(.writingCheckpoint) { () throws(Failure) in
                try write(state, parameterHash, best: best)
            }
        }
        try transfer?.endServing()
        return outcome
    }

    private func write(
        _ state: TrainingState, _ parameterHash: String, best: Int?
    ) throws(Failure) {
        guard run.holdsRun else {
            throw .file(
                .inputOutput, run.path, "was moved or removed during training",
                remedy: "keep the folder in place while a run is training")
        }
        func model(_ name: String, _ values: Buffer<Float>) -> CheckpointFile {
            let tensors = TensorSource.all(of: layout.arena, in: values)
            return CheckpointFile(name: name, .tensors(tensors, metadata: ["format": "pt"]))
        }
        let moments = state.optimizer.states.indices.flatMap { index in
            layout.arena.tensors.map { source(of: $0, inState: index, state) }
        }
        var files = [
            model(Self.parametersFile, state.parameters.values),
            CheckpointFile(name: Self.optimizerFile, .tensors(moments)),
            CheckpointFile(
                name: Self.configurationFile,
                .text(
                    plan.recipe.model.huggingFaceConfiguration(
                        endOfText: data.tokenizer?.endOfText))),
        ]
        if let average = state.average {
            files.append(model(Self.averageFile, average.parameters.values))
        }
        let result = try store.save(
            files, manifest: manifest(of: state, parameterHash), alwaysKeeping: best)
        for warning in result.warnings { logger.warning("\(warning.sentence)") }
        logger.info("checkpoint \(result.checkpoint.folder)")
    }

    /// Returns a tensor's part of one of the optimizer's states, such as its first moments.
    private func source(
        of tensor: NamedTensor, inState index: Int, _ state: TrainingState
    ) -> TensorSource {
        let states = state.optimizer.states
        let name = "\(states[index].name).\(tensor.name)"
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
        Manifest(
            step: state.step, tokensSeen: state.step * plan.tokensPerStep,
            seed: plan.recipe.training.seed,
            sampleCursor: state.step * plan.lanes.globalBatch, lanes: plan.lanes.laneCount,
            rankCount: communicator.size, recipeHash: SHA256.hash(plan.recipe.withoutFreeKeys.toml),
            dataFingerprint: data.fingerprint, tokenizerFingerprint: data.tokenizerFingerprint,
            parameterHash: parameterHash, version: version,
            extra: [
                CheckpointCounter.optimizerStep.rawValue: "\(state.optimizer.step)",
                CheckpointCounter.skippedSteps.rawValue: "\(state.nonFinite.skipped)",
                CheckpointCounter.skippedStepsInARow.rawValue: "\(state.nonFinite.skippedInARow)",
                Self.recipeKey: plan.recipe.toml,
            ])
    }

    /// Loads a checkpoint; returns false if none was ever written. Collective: every rank must call
    /// this.
    ///
    /// If the newest is chosen, warns of each checkpoint that cannot be used, with the reason, and
    /// tries an earlier one.
    ///
    /// - Parameter isResuming: whether this run is resumed, which requires the same data and lanes;
    ///   otherwise a new training starts from the run's parameters and moments.
    /// - Throws: `Failure` (missing input) if no checkpoint is whole or there is none of the chosen
    ///   step; (bad data) if the chosen one is damaged, or was saved with other data or another
    ///   recipe.
    func load(
        into state: TrainingState, _ choice: CheckpointChoice = .newest, isResuming: Bool = true
    ) throws(Failure) -> Bool {
        let found = try communicator.agree { () throws(Failure) -> Checkpoint? in
            guard communicator.rank == 0, try !store.candidates().isEmpty else { return nil }
            return try RankActivity.during(.readingCheckpoint) { () throws(Failure) in
                try read(into: state, choice, isResuming: isResuming)
            }
        }
        let counters = try communicator.agree { () throws(Failure) -> [Int64] in
            try self.counters(of: found)
        }
        let shared = try communicator.broadcast(counters)
        guard shared[0] >= 0 else { return false }
        state.step = Int(shared[0])
        state.optimizer.resume(after: Int(shared[1]))
        state.nonFinite.skipped = Int(shared[2])
        state.nonFinite.skippedInARow = Int(shared[3])
        savedStep = state.step
        try state.sendParameters()
        if let transfer {
            try scatterMoments(of: found, into: state, by: transfer)
        } else {
            for piece in state.optimizer.states { try communicator.broadcast(piece.buffer.bytes) }
        }
        if let average = state.average?.parameters {
            try communicator.broadcast(average.values.bytes)
            average.round(0..<average.values.count)
        }
        return true
    }

    /// Finds the newest good checkpoint on rank 0, and warns of newer ones.
    private func newest(isResuming: Bool) throws(Failure) -> Checkpoint {
        let newest = try store.candidates().first?.step ?? 0
        let found = try store.newestGood { step, reason in
            logger.warning(
                """
                the checkpoint of step \(step) is rejected, trying an earlier one: \
                \(reason.sentence)
                """)
        }
        if let found, found.step < newest, isResuming {
            logger.warning(
                """
                the newest checkpoint, of step \(newest), cannot be used, so the \
                \(Format.counted(newest - found.step, "step")) after step \(found.step) \
                \(newest - found.step == 1 ? "is" : "are") trained again
                """)
        }
        guard let found else {
            throw isResuming
                ? run.noWholeCheckpoint(
                    remedy: "give --out another folder and train from the start")
                : run.noWholeCheckpoint()
        }
        return found
    }

    /// Finds the checkpoint on rank 0, verifies it completely, and fills the state except for
    /// sharded moments.
    private func read(
        into state: TrainingState, _ choice: CheckpointChoice, isResuming: Bool
    ) throws(Failure) -> Checkpoint {
        let found =
            try choice == .newest ? newest(isResuming: isResuming) : run.checkpoint(choice)
        if isResuming {
            try check(found.manifest, of: found.folder)
            try run.warnOfDivergence(after: found.step)
        }
        let parameters = try found.open(Self.parametersFile)
        try parameters.copy(layout.arena, into: state.parameters.values)
        if let average = state.average {
            try found.open(Self.averageFile).copy(layout.arena, into: average.parameters.values)
        }
        let moments = try found.open(Self.optimizerFile)
        for piece in state.optimizer.states {
            for tensor in layout.arena.tensors {
                let name = "\(piece.name).\(tensor.name)"
                if transfer == nil {
                    try moments.copy(
                        name, shape: tensor.shape, into: piece.buffer.base + tensor.offset)
                } else {
                    _ = try moments.tensor(name, shape: tensor.shape)
                }
            }
        }
        guard layout.arena.hash(of: state.parameters.values) == found.manifest.parameterHash else {
            throw .file(
                .badData, found.folder, "has parameters that do not match the hash in its manifest",
                remedy: "remove this checkpoint and resume from an earlier one")
        }
        return found
    }

    /// Returns the step, the optimizer's step and the guard's two counters; the step is -1 if there
    /// is no checkpoint.
    ///
    /// - Throws: `Failure` (bad data) if the manifest lacks one of them.
    private func counters(of checkpoint: Checkpoint?) throws(Failure) -> [Int64] {
        guard let checkpoint else { return [-1] + CheckpointCounter.allCases.map { _ in 0 } }
        let counters = try CheckpointCounter.allCases.map { (counter) throws(Failure) -> Int64 in
            guard let value = checkpoint.manifest.extra[counter.rawValue].flatMap({ Int64($0) })
            else {
                throw .file(
                    .badData, checkpoint.folder, "has a manifest without \(counter.rawValue)",
                    remedy: "remove this checkpoint and resume from an earlier one")
            }
            return value
        }
        return [Int64(checkpoint.step)] + counters
    }

    /// Sends each rank its shard of the moments, from the file that rank 0 has checked. Collective:
    /// every rank must call this.
    private func scatterMoments(
        of checkpoint: Checkpoint?, into state: TrainingState, by transfer: ShardTransfer
    ) throws(Failure) {
        guard let checkpoint else {
            for piece in state.optimizer.states {
                for tensor in layout.arena.tensors {
                    try transfer.scatter(tensor.range, from: nil, into: piece.buffer)
                }
            }
            return
        }
        let moments = try checkpoint.open(Self.optimizerFile)
        for piece in state.optimizer.states {
            for tensor in layout.arena.tensors {
                let stored = try moments.tensor("\(piece.name).\(tensor.name)", shape: tensor.shape)
                try moments.withBytes(of: stored) { (bytes) throws(Failure) in
                    try transfer.scatter(tensor.range, from: bytes.baseAddress, into: piece.buffer)
                }
            }
        }
    }

    private func check(_ manifest: Manifest, of folder: String) throws(Failure) {
        guard manifest.dataFingerprint == data.fingerprint else {
            throw .file(
                .badData, folder, "was trained on other data than \(data.path)",
                remedy: "give --data the folder that the run was started with")
        }
        let cursor = manifest.step.multipliedReportingOverflow(by: plan.lanes.globalBatch)
        guard manifest.lanes == plan.lanes.laneCount,
            manifest.sampleCursor == cursor.partialValue, !cursor.overflow
        else {
            throw .file(
                .badData, folder,
                "was saved with \(manifest.lanes) lanes at sample \(manifest.sampleCursor), which "
                    + "does not match this recipe",
                remedy: "resume with the recipe in the run's folder")
        }
    }
}
