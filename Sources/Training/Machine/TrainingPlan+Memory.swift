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
        let total = try leastBytes(of: host, among: communicator)
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

    /// Returns the least memory in bytes that the ranks of this host need. Collective: every rank
    /// must call this.
    private func leastBytes(
        of host: Communicator, among communicator: Communicator
    ) throws(Failure) -> Double {
        // A sharded optimizer's ranks share the parameters of their host.
        let shared =
            recipe.optimizer.sharded && host.rank > 0
            ? recipe.model.parameterBytes(recipe.training.precision) : 0
        return try host.allReduce(
            leastBytes(ofRank: communicator.rank, size: communicator.size) - shared, .sum)
    }

    /// The largest share of a machine's memory that a micro-batch may be chosen to need. The rest is
    /// for scratch memory, the copy of the state and the data.
    private static let chosenShare = 0.5

    /// Returns a plan with a smaller micro-batch if a whole lane does not fit into the memory of
    /// every host; nil if it fits, or if no micro-batch does. Collective: every rank must call this.
    func withFittingMicroBatch(_ communicator: Communicator) throws(Failure) -> TrainingPlan? {
        let host = try communicator.splitShared()
        func fits(_ plan: TrainingPlan, share: Double) throws(Failure) -> Bool {
            let needed = try plan.leastBytes(of: host, among: communicator)
            return try !communicator.isTrueOnAnyRank(needed > share * Double(machineMemoryBytes))
        }
        if try fits(self, share: 1) { return nil }
        return try withLargestMicroBatch(ranks: communicator.size) { (plan) throws(Failure) in
            try fits(plan, share: Self.chosenShare)
        }
    }

    /// Returns the plan with the largest micro-batch that fits and is smaller than this plan's; nil if none
    /// fits.
    package func withLargestMicroBatch(
        ranks: Int, fits: (TrainingPlan) throws(Failure) -> Bool
    ) throws(Failure) -> TrainingPlan? {
        for size in LaneConfiguration.divisors(of: lanes.microBatch).dropLast().reversed() {
            var recipe = recipe
            recipe.training.microBatch = size
            let plan = try TrainingPlan(recipe, ranks: ranks, sequenceLength: sequenceLength)
            if try fits(plan) { return plan }
        }
        return nil
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
