import Compute
import Recipes
import Support

/// A copy of all state in a rank's memory that steps change, to restore it bit for bit.
package struct TrainingSnapshot: Sendable {
    fileprivate let parameters: Buffer<Float>
    fileprivate let moments: [Buffer<Float>]
    fileprivate let average: Buffer<Float>?
    fileprivate let optimizerStep: Int
    fileprivate let step: Int
    fileprivate let nonFinite: NonFiniteGuard
}

extension StepRunner {
    /// Returns a copy of the state. Collective: every rank must call this.
    package func snapshot() throws(Failure) -> TrainingSnapshot {
        // Other ranks may still write parameters in shared memory.
        try communicator.barrier()
        return TrainingSnapshot(
            parameters: state.parameters.values.copy,
            moments: state.optimizer.states.map(\.buffer.copy),
            average: state.average?.parameters.values.copy,
            optimizerStep: state.optimizer.step, step: state.step, nonFinite: state.nonFinite)
    }

    /// Restores a copy of the state. Collective: every rank must call this.
    package func restore(_ snapshot: TrainingSnapshot) throws(Failure) {
        // Other ranks may still read parameters in shared memory. All ranks write the same values.
        try communicator.barrier()
        state.parameters.values.fill(from: snapshot.parameters)
        state.parameters.round(0..<state.parameters.values.count)
        for (piece, saved) in zip(state.optimizer.states, snapshot.moments) {
            piece.buffer.fill(from: saved)
        }
        if let average = state.average?.parameters, let saved = snapshot.average {
            average.values.fill(from: saved)
            average.round(0..<average.values.count)
        }
        state.optimizer.resume(after: snapshot.optimizerStep)
        state.step = snapshot.step
        state.nonFinite = snapshot.nonFinite
        try communicator.barrier()
        state.checks?.restart()
    }

    /// Fills the state from a run's checkpoint; returns its step. Collective: every rank must call
    /// this.
    ///
    /// - Throws: `Failure` (configuration) if the run's model or optimizer differs from the
    ///   recipe's; (missing input) if there is no run or no such checkpoint.
    package func begin(
        from run: RunFolder, _ choice: CheckpointChoice = .newest, data: TrainingData
    ) throws(Failure) -> Int {
        // Only the first host needs the run's folder.
        let toml = try communicator.fromFirstRank { () throws(Failure) in try run.read(run.recipe) }
        try communicator.agree { () throws(Failure) in
            try plan.recipe.requireSameState(as: try Recipe(toml: toml, name: run.recipe), of: run)
        }
        let checkpoints = try CheckpointKeeper(
            run: run, plan: plan, data: data, layout: model.layout, shards: shards,
            communicator: communicator)
        guard try checkpoints.load(into: state, choice, isResuming: false) else {
            // Every rank reaches this line, but only one must report the failure.
            try communicator.onFirstRank { () throws(Failure) -> Void in
                throw run.noWholeCheckpoint()
            }
            return 0
        }
        state.nonFinite = NonFiniteGuard(limit: state.nonFinite.limit)
        try checkpoints.compareParameters(of: state)
        return state.step
    }
}

extension Recipe {
    /// Checks that a checkpoint saved with another recipe fits this recipe's model and optimizer.
    fileprivate func requireSameState(as other: Recipe, of run: RunFolder) throws(Failure) {
        var (own, theirs) = (Recipe(), Recipe())
        (own.model, theirs.model) = (model, other.model)
        own.model.dropout = theirs.model.dropout
        own.optimizer.name = optimizer.name
        theirs.optimizer.name = other.optimizer.name
        own.optimizer.momentum = optimizer.momentum
        theirs.optimizer.momentum = other.optimizer.momentum
        if let difference = own.firstDifference(from: theirs) {
            throw .key(
                difference.key, difference.value,
                "is \(difference.otherValue) in the run in \(run.path)",
                remedy: "use that run's recipe, \(run.recipe)")
        }
    }
}
