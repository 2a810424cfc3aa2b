import Collectives
import MPI
import Recipes
import Support

extension TrainingPlan {
    /// Checks that the machine has enough memory for the model, before any of it is allocated.
    /// Collective: every rank must call this.
    ///
    /// - Throws: `Failure` (configuration) if it has too little; it states the memory needed, and
    ///   settings that need less.
    package func requireMemory(_ communicator: Communicator) throws(Failure) {
        let host = try communicator.splitShared()
        // A sharded optimizer's ranks share the parameters of their host.
        let shared =
            recipe.optimizer.sharded && host.rank > 0
            ? recipe.model.parameterBytes(recipe.training.precision) : 0
        let total = try host.allReduce(
            leastBytes(ofRank: communicator.rank, size: communicator.size) - shared, .sum)
        try communicator.agree { () throws(Failure) in
            // Clamped, because the largest sizes that a recipe allows overflow an Int.
            let needed = min(0x1p62, total)
            let there = machineMemoryBytes
            guard needed > Double(there) else { return }
            throw .about(
                .configuration, "training this model",
                "takes at least \(Format.bytes(Int(needed))) of memory for "
                    + "\(Format.counted(host.size, "rank")), but the machine has "
                    + Format.bytes(there),
                remedy: "lower [model] layers, width, context_length or vocabulary_size, "
                    + remedies(ranks: communicator.size)
                    + "set [training] micro_batch lower, or start fewer ranks on it")
        }
    }

    /// Returns the least memory in bytes that a rank needs; ranks share only the parameters, if the
    /// optimizer is sharded.
    package func leastBytes(ofRank rank: Int, size: Int) -> Double {
        let laneBytes = laneBytes(size: size)
        let division = lanes.tree.equalDivision(among: size)
        let gradients = lanes.tree.shape(of: division[rank]).buffers
        let moments =
            Double(recipe.optimizer.statesPerParameter)
            / Double(recipe.optimizer.sharded ? size : 1)
        return recipe.model.leastTrainingBytes(
            arenas: Double(gradients) + moments, tokens: tokensPerMicroBatch,
            recomputes: recipe.training.recompute, precision: recipe.training.precision)
            + Double(laneBytes)
    }

    /// Returns the size in bytes of all lanes' statistics and of the most lanes that a rank can own,
    /// apart from their gradients.
    func laneBytes(size: Int) -> Int {
        LaneExchange<LaneStep>.bytes(laneCount: lanes.laneCount, size: size)
            + lanes.tree.equalDivision(among: size).laneLimit
            * (MemoryLayout<LaneStep>.stride + LaneSchedule.bytesPerLane)
    }

    /// Returns the settings that would need less memory, except those that the recipe already has.
    private func remedies(ranks: Int) -> String {
        let canShard = !recipe.optimizer.sharded && !recipe.optimizer.name.hasTrustRatios
        return (recipe.training.recompute ? "" : "set [training] recompute = true, ")
            + (canShard && ranks > 1 ? "set [optimizer] sharded = true, " : "")
            + (lanes.laneCount == ranks ? "" : "set [reduction] lanes lower, ")
    }
}
