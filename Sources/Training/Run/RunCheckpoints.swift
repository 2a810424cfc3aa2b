import Checkpoints
import Compute
import Logging
import Model
import Recipes
import Support

/// The whole checkpoints of a run, to look at the parameters on its way.
package struct RunCheckpoints: Sendable {
    /// With every key settled.
    package let recipe: Recipe
    package let layout: GPTLayout
    /// By rising step, at least one.
    package let checkpoints: [Checkpoint]
    private let run: RunFolder

    /// Opens a run's newest whole checkpoint, or all that are whole; a damaged one is told of.
    ///
    /// - Throws: `Failure` (missing input) where there is no run or no whole checkpoint.
    package init(run path: String, newestAlone: Bool) throws(Failure) {
        run = RunFolder(path)
        let recipe = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
        let store = try run.checkpointStore()
        var found: [Checkpoint] = []
        for candidate in try store.candidates() where !(newestAlone && !found.isEmpty) {
            do throws(Failure) { found.append(try store.requireGood(candidate)) } catch {
                Logger(label: "lockstep").warning(
                    "checkpoint of step \(candidate.step) left out: \(error.sentence)")
            }
        }
        guard let newest = found.first else { throw run.noWholeCheckpoint() }
        try run.warnOfDivergence(after: newest.step)
        self.recipe = recipe
        layout = GPTLayout(recipe.model)
        checkpoints = found.reversed()
    }

    /// Copies one tensor of a checkpoint's parameters.
    ///
    /// - Throws: `Failure` (bad data) where it is of another model; (I/O).
    package func copy(
        _ tensor: NamedTensor, of index: Int, into destination: UnsafeMutablePointer<Float>
    ) throws(Failure) {
        try checkpoints[index].open(CheckpointKeeper.parametersFile)
            .copy(tensor.name, shape: tensor.shape, into: destination)
    }

    /// All parameters of a checkpoint.
    ///
    /// - Throws: as `copy`.
    package func parameters(of index: Int) throws(Failure) -> Buffer<Float> {
        let parameters = Buffer<Float>(count: layout.arena.count)
        try checkpoints[index].open(CheckpointKeeper.parametersFile)
            .copy(layout.arena, into: parameters)
        return parameters
    }
}
