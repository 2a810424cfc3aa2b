import Checkpoints
import Compute
import Logging
import MPI
import Model
import Recipes
import Support

/// The counters of a state, with their keys in the manifest's `extra`.
enum CheckpointCounter: String, CaseIterable {
    case optimizerStep = "optimizer_step"
    case skippedSteps = "skipped_steps"
    case skippedStepsInARow = "skipped_steps_in_a_row"
}

/// The reason that a state must not become a checkpoint.
package enum StateDefect: Int64, Sendable {
    case skipped = 1
    case parameters, optimizer, loss

    /// A clause that follows "because".
    package var reason: String {
        switch self {
        case .skipped: "the step was skipped"
        case .parameters: "a parameter is not finite"
        case .optimizer: "a number of the optimizer's state is not finite"
        case .loss: "the loss of the parameters is not finite"
        }
    }
}

/// Brings a run's state to its checkpoints and back.
///
/// Rank 0 writes and reads, and all ranks learn whether it went well. Parameters are the same on
/// all ranks; the optimizer's state may be sharded, and then passes between rank 0 and its owners
/// piece by piece. The files do not show it.
final class CheckpointKeeper {
    private let run: RunFolder
    private let store: CheckpointStore
    private let plan: TrainingPlan
    private let data: TrainingData
    private let layout: GPTLayout
    private let communicator: Communicator
    /// Nil where every rank has all of the optimizer's state.
    private let transfer: ShardTransfer?
    private let logger = Logger(label: "lockstep")
    /// The step of the last checkpoint that was saved or loaded.
    private(set) var savedStep: Int?

    /// The parameters' file in a checkpoint, under Hugging Face's names.
    static let parametersFile = "model.safetensors"
    private static let optimizerFile = "optimizer.safetensors"
    /// The model's shape, for Hugging Face's Transformers.
    private static let configurationFile = "config.json"
    /// Where the recipe asks for an average of the parameters.
    private static let averageFile = "average.safetensors"

    /// The key of the run's recipe in the manifest's `extra`.
    static let recipeKey = "recipe"

    /// The file with the parameters that evaluations look at.
    static func evaluatedFile(of recipe: Recipe) -> String {
        recipe.training.averagingPower == nil ? parametersFile : averageFile
    }

    /// `shards` are the elements of the arena that each rank updates, by rank.
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

    /// Checks that all ranks hold the same parameters, bit by bit; returns their hash.
    ///
    /// - Throws: `Failure` (configuration) that names the ranks that differ.
    @discardableResult
    func compareParameters(of state: TrainingState) throws(Failure) -> String {
        let hash = hash(state.parameters.values)
        try communicator.sameOnAllRanks(
            "parameters' hash", hash,
            remedy: "a rank's memory or build is at fault, so resume from the last checkpoint")
        return hash
    }

    /// Returns why the state must not become a checkpoint, the same on all ranks; nil if it may.
    /// Collective.
    ///
    /// A step can leave parameters that are finite but useless, which only the next step's loss would
    /// show.
    ///
    /// - Parameter loss: the loss of the parameters on a micro-batch of the next step.
    func defect(of state: TrainingState, loss: Double) throws(Failure) -> StateDefect? {
        var own: StateDefect?
        if state.nonFinite.skippedInARow > 0 {
            own = .skipped
        } else if !state.parameters.values.isFinite {
            own = .parameters
        } else if !state.optimizer.states.allSatisfy(\.buffer.isFinite)
            || state.average?.parameters.values.isFinite == false
        {
            own = .optimizer
        } else if !loss.isFinite {
            own = .loss
        }
        return StateDefect(
            rawValue: try communicator.allReduce(own?.rawValue ?? 0, .maximum))
    }

    /// Returns the steps of all checkpoints.
    func steps() throws(Failure) -> Set<Int> { Set(try store.candidates().map(\.step)) }

    /// Returns the step of the newest good checkpoint, on all ranks; nil if there is none. Collective.
    func newestGoodStep() throws(Failure) -> Int? {
        let own = try communicator.onFirstRank { () throws(Failure) -> Int in
            try store.newestGood()?.step ?? -1
        }
        let step = try communicator.allReduce(Int64(own ?? -1), .maximum)
        return step < 0 ? nil : Int(step)
    }

    /// Saves the state after its step.
    ///
    /// A full or failing disk costs this checkpoint, not the run: the earlier ones are kept and
    /// training continues, unless the checkpoint `isRequired` because the run ends with it.
    ///
    /// - Parameter best: the step whose checkpoint is never removed; nil for none.
    /// - Throws: `Failure` (I/O) on all ranks if a required checkpoint could not be written.
    func save(_ state: TrainingState, isRequired: Bool, best: Int?) throws(Failure) {
        guard savedStep != state.step else { return }
        let parameterHash = try compareParameters(of: state)
        do throws(Failure) {
            // Ranks that hold shards talk while rank 0 writes, and agree only then.
            let outcome = try writeTogether(state, parameterHash, best: best)
            try communicator.agree { () throws(Failure) in try outcome.get() }
            savedStep = state.step
        } catch {
            if isRequired || error.code != .inputOutput { throw error }
            if communicator.rank == 0 {
                logger.warning(
                    "no checkpoint at step \(state.step), the ones before are kept: \(error.sentence)"
                )
            }
        }
    }

    /// Writes on rank 0 with what the others hold.
    ///
    /// - Throws: what MPI reports; how the writing went is returned.
    private func writeTogether(
        _ state: TrainingState, _ parameterHash: String, best: Int?
    ) throws(Failure) -> Result<Void, Failure> {
        guard communicator.rank == 0 else {
            try transfer?.serve(state.optimizer.states.map(\.buffer))
            return .success(())
        }
        let outcome: Result<Void, Failure>
        do throws(Failure) {
            try RankActivity.during(.writingCheckpoint) { () throws(Failure) in
                try write(state, parameterHash, best: best)
            }
            outcome = .success(())
        } catch { outcome = .failure(error) }
        try transfer?.endServing()
        return outcome
    }

    private func write(
        _ state: TrainingState, _ parameterHash: String, best: Int?
    ) throws(Failure) {
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

    /// A tensor's part of a piece of the optimizer's state.
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

    /// Loads the newest checkpoint that is whole, on all ranks; false where none was ever written.
    ///
    /// Each damaged one is told of, with the reason, before the one before it is tried.
    ///
    /// - Parameter isResuming: whether the run goes on, which needs its data and lanes; else its
    ///   parameters and moments are where something else begins.
    /// - Throws: `Failure` (missing input) if none of them is whole; (bad data) if the newest whole
    ///   one is of other data or another recipe.
    func load(into state: TrainingState, isResuming: Bool = true) throws(Failure) -> Bool {
        let found = try communicator.agree { () throws(Failure) -> Checkpoint? in
            guard communicator.rank == 0, try !store.candidates().isEmpty else { return nil }
            return try RankActivity.during(.readingCheckpoint) { () throws(Failure) in
                try read(into: state, isResuming: isResuming)
            }
        }
        let counters = try communicator.agree { () throws(Failure) -> [Int64] in
            try self.counters(of: found)
        }
        // Rank 0's own come first.
        let shared = try communicator.allGather(counters)
        guard shared[0] >= 0 else { return false }
        state.step = Int(shared[0])
        state.optimizer.resume(after: Int(shared[1]))
        state.nonFinite.skipped = Int(shared[2])
        state.nonFinite.skippedInARow = Int(shared[3])
        savedStep = state.step
        try communicator.broadcast(state.parameters.values.bytes)
        state.parameters.round(0..<state.parameters.values.count)
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

    /// Finds the checkpoint on rank 0, checks all of it and fills the state, but for moments that
    /// are sharded.
    private func read(into state: TrainingState, isResuming: Bool) throws(Failure) -> Checkpoint {
        let newest = try store.candidates().first?.step ?? 0
        let found = try store.newestGood { step, reason in
            logger.warning(
                "checkpoint of step \(step) rejected, trying the one before: \(reason.sentence)")
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
        guard hash(state.parameters.values) == found.manifest.parameterHash else {
            throw Failure(
                .badData,
                "The parameters in \(found.folder) do not have the hash that the manifest names; "
                    + "remove this checkpoint and resume from the one before.")
        }
        return found
    }

    /// Step, optimizer step and the guard's two counters; a step of -1 where there is no
    /// checkpoint.
    ///
    /// - Throws: `Failure` (bad data) where the manifest lacks one.
    private func counters(of checkpoint: Checkpoint?) throws(Failure) -> [Int64] {
        guard let checkpoint else { return [-1] + CheckpointCounter.allCases.map { _ in 0 } }
        var counters = [Int64(checkpoint.step)]
        for counter in CheckpointCounter.allCases {
            guard let value = checkpoint.manifest.extra[counter.rawValue].flatMap({ Int64($0) })
            else {
                throw Failure(
                    .badData,
                    "The manifest in \(checkpoint.folder) has no \(counter.rawValue): remove this "
                        + "checkpoint and resume from the one before.")
            }
            counters.append(value)
        }
        return counters
    }

    /// Brings each rank its shard of the moments, from the file that rank 0 has checked.
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
                let stored = try moments.tensor(
                    "\(piece.name).\(tensor.name)", shape: tensor.shape)
                try moments.withBytes(of: stored) { (bytes) throws(Failure) in
                    try transfer.scatter(tensor.range, from: bytes.baseAddress, into: piece.buffer)
                }
            }
        }
    }

    private func check(_ manifest: Manifest, of folder: String) throws(Failure) {
        guard manifest.dataFingerprint == data.fingerprint else {
            throw Failure(
                .badData,
                "\(folder) was trained on other data than \(data.path): give --data the folder that "
                    + "the run was started with.")
        }
        guard manifest.lanes == plan.lanes.laneCount,
            manifest.sampleCursor == manifest.step * plan.lanes.globalBatch
        else {
            throw Failure(
                .badData,
                "\(folder) was written by a run with \(manifest.lanes) lanes at sample "
                    + "\(manifest.sampleCursor), which is not what this recipe would have done: "
                    + "resume with the recipe in the run's folder.")
        }
    }

    /// Returns the hash of the parameters as the file holds them.
    ///
    /// The padding between the tensors counts as zeros, because an update can change it to other
    /// values, such as -0, which no file holds.
    private func hash(_ parameters: Buffer<Float>) -> String {
        var hash = SHA256()
        var end = 0
        func addZeros(upTo start: Int) {
            guard start > end else { return }
            let zeros = [Float](repeating: 0, count: start - end)
            zeros.withUnsafeBytes { hash.update($0) }
        }
        for tensor in layout.arena.tensors {
            addZeros(upTo: tensor.offset)
            hash.update(
                UnsafeRawBufferPointer(
                    rebasing: parameters.bytes[
                        tensor.offset * 4..<tensor.range.upperBound * 4]))
            end = tensor.range.upperBound
        }
        addZeros(upTo: parameters.count)
        return hash.finish()
    }
}
