import Failures
import MPI
import Model
import Optimizers
import Telemetry

extension TrainingPlan {
    /// Refuses a model that the machine cannot hold, before anything is made of it; all ranks must
    /// come here.
    ///
    /// - Throws: `Failure` (configuration) that names the memory needed, and what would need less.
    func requireMemory(_ communicator: Communicator) throws(Failure) {
        let host = Array(Communicator.hostName.utf8)
        let ranks = try communicator.allGatherBytes(host).count { $0 == host }
        try communicator.agree { () throws(Failure) in
            let bytes = { (moments: Int) in
                recipe.model.leastTrainingBytes(
                    moments: moments, tokens: tokensPerMicroBatch,
                    recomputes: recipe.training.recompute)
            }
            let owners = recipe.optimizer.sharded ? Double(communicator.size) : 1
            let moments = (bytes(recipe.optimizer.statesPerParameter) - bytes(0)) / owners
            // Clamped, because the largest sizes that a recipe allows are beyond an Int's bytes.
            let needed = min(0x1p62, bytes(0) + moments)
            let there = machineMemoryBytes
            guard needed * Double(ranks) > Double(there) else { return }
            throw Failure(
                .configuration,
                "Training this model takes at least \(Format.bytes(Int(needed))) of memory for each of "
                    + "\(ranks) \(ranks == 1 ? "rank" : "ranks"), but the machine has "
                    + "\(Format.bytes(there)): lower [model] layers, width or context_length, "
                    + (recipe.training.recompute ? "" : "set [training] recompute = true, ")
                    + "set [training] micro_batch lower, or start fewer ranks on it.")
        }
    }
}
