import Checkpoints
import Compute
import Logging
import Model
import Recipes
import Support

/// The whole checkpoints of a run, for reading its parameters at several steps.
package struct RunCheckpoints: Sendable {
    /// The run's recipe, with every key set.
    package let recipe: Recipe
    package let layout: GPTLayout
    /// The checkpoints in increasing order of steps; there is at least one.
    package let checkpoints: [Checkpoint]
    private let run: RunFolder

    /// Opens a run's newest whole checkpoint, or all whole checkpoints; warns of damaged ones.
    ///
    /// - Throws: `Failure` (missing input) if there is no run or no whole checkpoint.
    package init(run path: String, newestOnly: Bool) throws(Failure) {
        let run = RunFolder(path)
        let recipe = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
        let store = try run.checkpointStore()
        var found: [Checkpoint] = []
        for candidate in try store.candidates() where !(newestOnly && !found.isEmpty) {
            do throws(Failure) { found.append(try store.requireGood(candidate)) } catch {
                Logger(label: "lockstep").warning(
                    "the checkpoint of step \(candidate.step) is ignored: \(error.sentence)")
            }
        }
        guard let newest = found.first else { throw run.noWholeCheckpoint() }
        try run.warnOfDivergence(after: newest.step)
        self.init(run: run, recipe: recipe, checkpoints: found.reversed())
    }

    /// Opens a run's checkpoints of some steps.
    ///
    /// - Parameter steps: the steps in increasing order.
    /// - Throws: `Failure` (missing input) if there is no run or no checkpoint of a step; (bad
    ///   data) if one is damaged or not finite.
    package init(run path: String, steps: [Int]) throws(Failure) {
        let run = RunFolder(path)
        let recipe = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
        let checkpoints = try steps.map { (step) throws(Failure) in
            try run.checkpoint(.step(step))
        }
        self.init(run: run, recipe: recipe, checkpoints: checkpoints)
    }

    private init(run: RunFolder, recipe: Recipe, checkpoints: [Checkpoint]) {
        self.run = run
        self.recipe = recipe
        layout = GPTLayout(recipe.model)
        self.checkpoints = checkpoints
    }

    /// Copies one tensor of a checkpoint's parameters.
    ///
    /// - Throws: `Failure` (bad data) if it belongs to another model; (I/O) if it cannot be read.
    package func copy(
        _ tensor: NamedTensor, of index: Int, into destination: Buffer<Float>
    ) throws(Failure) {
        try checkpoints[index].open(CheckpointFiles.parameters)
            .copy(tensor.name, shape: tensor.shape, into: destination.base)
    }

    /// Returns all parameters of a checkpoint.
    ///
    /// - Throws: the same as `copy`.
    package func parameters(of index: Int) throws(Failure) -> Buffer<Float> {
        let parameters = Buffer<Float>(count: layout.arena.count)
        try checkpoints[index].open(CheckpointFiles.parameters)
            .copy(layout.arena, into: parameters)
        return parameters
    }
}
