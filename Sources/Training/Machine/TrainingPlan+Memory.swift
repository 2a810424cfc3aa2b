import Collectives
import MPI
import Recipes
import Support

extension TrainingPlan {
    /// Refuses a model that the machine cannot hold, before anything is made of it; all ranks must
    /// come here.
    ///
    /// - Throws: `Failure` (configuration) that names the memory needed, and what would need less.
    package func requireMemory(_ communicator: Communicator) throws(Failure) {
        let ranks = try communicator.ranksOnThisHost()
        try communicator.agree { () throws(Failure) in
            let total = ranks.reduce(0) { $0 + leastBytes(ofRank: $1, size: communicator.size) }
            // Clamped, because the largest sizes that a recipe allows are beyond an Int's bytes.
            let needed = min(0x1p62, total)
            let there = machineMemoryBytes
            guard needed > Double(there) else { return }
            throw Failure(
                .configuration,
                "Training this model takes at least \(Format.bytes(Int(needed))) of memory for "
                    + "\(Format.counted(ranks.count, "rank")), but the machine has "
                    + "\(Format.bytes(there)): lower [model] layers, width, context_length "
                    + "or vocabulary_size, "
                    + remedies(ranks: communicator.size)
                    + "set [training] micro_batch lower, or start fewer ranks on it.")
        }
    }

    /// The least memory that a rank takes; ranks share none of it.
    package func leastBytes(ofRank rank: Int, size: Int) -> Double {
        let laneBytes = LaneMemory.bytes(laneCount: lanes.laneCount, rank: rank, size: size)
        // Counting the arenas takes memory for each lane too.
        guard laneBytes < machineMemoryBytes else { return Double(laneBytes) }
        let gradients = GradientReducer.arenaCount(ofRank: rank, size: size, tree: lanes.tree)
        let moments =
            Double(recipe.optimizer.statesPerParameter)
            / Double(recipe.optimizer.sharded ? size : 1)
        return recipe.model.leastTrainingBytes(
            arenas: Double(gradients) + moments, tokens: tokensPerMicroBatch,
            recomputes: recipe.training.recompute, precision: recipe.training.precision)
            + Double(laneBytes)
    }

    /// The settings that would take less, each where it is not so already.
    private func remedies(ranks: Int) -> String {
        let canShard = !recipe.optimizer.sharded && !recipe.optimizer.name.hasTrustRatios
        return (recipe.training.recompute ? "" : "set [training] recompute = true, ")
            + (canShard && ranks > 1 ? "set [optimizer] sharded = true, " : "")
            + (lanes.laneCount == ranks ? "" : "set [reduction] lanes lower, ")
    }
}
