import Checkpoints
import Compute
import MPI
import Recipes
import Support

extension CheckpointKeeper {
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
            guard communicator.rank == 0, try !files.store.candidates().isEmpty else { return nil }
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
        let newest = try files.store.candidates().first?.step ?? 0
        let found = try files.store.newestGood { step, reason in
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
        let parameters = try found.open(CheckpointFiles.parameters)
        try parameters.copy(layout.arena, into: state.parameters.values)
        if let average = state.average {
            try found.open(CheckpointFiles.average).copy(
                layout.arena, into: average.parameters.values)
        }
        let moments = try found.open(CheckpointFiles.optimizer)
        for piece in state.optimizer.states {
            for tensor in state.optimizer.tensors(of: piece) {
                let name = CheckpointFiles.name(tensor, inState: piece.name)
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
                for tensor in state.optimizer.tensors(of: piece) {
                    try transfer.scatter(tensor.range, from: nil, into: piece.buffer)
                }
            }
            return
        }
        let moments = try checkpoint.open(CheckpointFiles.optimizer)
        for piece in state.optimizer.states {
            for tensor in state.optimizer.tensors(of: piece) {
                let stored = try moments.tensor(
                    CheckpointFiles.name(tensor, inState: piece.name), shape: tensor.shape)
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
        // A step that no run takes, in a damaged manifest, would overflow.
        let isStep = (0...TrainingConfiguration.largestCount).contains(manifest.step)
        guard manifest.lanes == plan.lanes.laneCount, isStep,
            manifest.sampleCursor == plan.samples(after: manifest.step)
        else {
            throw .file(
                .badData, folder,
                "was saved with \(manifest.lanes) lanes at sample \(manifest.sampleCursor), which "
                    + "does not match this recipe",
                remedy: "resume with the recipe in the run's folder")
        }
    }
}
