import Failures

/// The recipe of a run that goes on: its own, with what may change from now on.
///
/// A run may be given more steps, other evaluations or checkpoints; nothing that changes what its
/// steps compute.
struct ResumedRecipe {
    private let run: RunFolder
    private let original: Recipe

    /// - Throws: `Failure` where the folder holds no run, or its recipe cannot be read.
    init(of run: RunFolder) throws(Failure) {
        self.run = run
        original = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
    }

    /// The recipe to go on with: that of the file `given`, or else the run's own, with overrides.
    ///
    /// - Throws: `Failure` (configuration) that names the first key that cannot change midway.
    func recipe(given path: String?, overrides: [String]) throws(Failure) -> Recipe {
        let wanted: Recipe
        if let path {
            wanted = try Recipe(toml: try readText(path), name: path, overrides: overrides)
                .fillingSilence(from: original)
        } else {
            wanted = try Recipe(
                toml: try run.read(run.recipe), name: run.recipe, overrides: overrides)
        }
        if let difference = wanted.withoutFreeKeys.firstDifference(from: original.withoutFreeKeys) {
            throw Failure(
                .configuration,
                "\(path ?? "--set") has \(difference.key) = \(difference.value), but the run in "
                    + "\(run.path) was started with \(difference.otherValue), which cannot change "
                    + "midway: resume without it, or start a new run in another folder.")
        }
        return wanted
    }
}

extension Recipe {
    /// The recipe with the keys at their defaults that do not change what a step computes.
    var withoutFreeKeys: Recipe {
        var recipe = self
        let defaults = Recipe()
        recipe.training.steps = defaults.training.steps
        recipe.training.maximumSkippedSteps = defaults.training.maximumSkippedSteps
        recipe.training.recompute = defaults.training.recompute
        recipe.evaluation = defaults.evaluation
        recipe.checkpoint = defaults.checkpoint
        recipe.reduction.bucketMebibytes = defaults.reduction.bucketMebibytes
        recipe.optimizer.sharded = defaults.optimizer.sharded
        return recipe
    }

    /// The recipe with the values of a run's, where everything is written out, for what it leaves
    /// out.
    fileprivate func fillingSilence(from original: Recipe) -> Recipe {
        var recipe = self
        if model.vocabularySize == 0 {
            recipe.model.vocabularySize = original.model.vocabularySize
        }
        if reduction.lanes == 0 { recipe.reduction.lanes = original.reduction.lanes }
        if training.microBatch == 0 { recipe.training.microBatch = original.training.microBatch }
        recipe.scaling.noiseExponent = scaling.noiseExponent ?? original.scaling.noiseExponent
        let there = original.schedule
        recipe.schedule.warmupSteps = schedule.warmupSteps ?? there.warmupSteps
        recipe.schedule.decaySteps = schedule.decaySteps ?? there.decaySteps
        recipe.schedule.minimumLearningRate =
            schedule.minimumLearningRate ?? there.minimumLearningRate
        if let last = schedule.parts.indices.last, last < there.parts.count,
            schedule.parts[last].steps == nil
        {
            recipe.schedule.parts[last].steps = there.parts[last].steps
        }
        return recipe
    }
}
