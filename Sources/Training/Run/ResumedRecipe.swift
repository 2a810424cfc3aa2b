import Checkpoints
import Recipes
import Support

/// The recipe of a run that is resumed, with changes that affect only the remaining steps.
///
/// A resume may change the number of steps, the evaluations, the checkpoints, the telemetry, and the
/// schedules of the remaining steps' rate and batch. It refuses a change that would affect earlier steps.
package struct ResumedRecipe {
    private let run: RunFolder
    private let original: Recipe
    /// The step of the checkpoint from which the run resumes.
    private let step: Int

    /// Reads a run's recipe.
    ///
    /// - Parameter checkpoint: the checkpoint from which the run resumes; nil for the newest.
    /// - Throws: `Failure` if the folder holds no run or its recipe cannot be read; (configuration)
    ///   if the recipe was edited after the checkpoint.
    package init(of run: RunFolder, at checkpoint: Checkpoint? = nil) throws(Failure) {
        self.run = run
        original = try Recipe(toml: try run.read(run.recipe), name: run.recipe)
        // `??` would lose the type of the error.
        let manifest: Manifest?
        if let checkpoint {
            manifest = checkpoint.manifest
        } else {
            manifest = try run.checkpointStore().newestManifest()
        }
        step = manifest?.step ?? 0
        // Checkpoints of earlier versions hold no recipe.
        guard let text = manifest?.extra[CheckpointKeeper.recipeKey],
            let trained = try? Recipe(toml: text, name: run.recipe)
        else { return }
        try refuseEdit(of: trained)
    }

    /// Checks that the run's recipe is that of its newest checkpoint, unless a resume replaced it.
    ///
    /// - Throws: `Failure` (configuration) if it was edited; it names the keys.
    private func refuseEdit(of trained: Recipe) throws(Failure) {
        guard original != trained, try !run.wasReplaced(by: original) else { return }
        let isFixed = original.withoutFreeKeys != trained.withoutFreeKeys
        let edits = original.differences(from: trained).map {
            "\($0.key) = \($0.value) (trained with \($0.otherValue))"
        }.joined(separator: ", ")
        let remedy =
            isFixed
            ? "undo the edit, or start a new run" : "undo the edit, and make the change with --set"
        throw .file(
            .configuration, run.recipe, "was edited after step \(step) in \(edits)",
            remedy: remedy)
    }

    /// Returns the recipe to resume with: the one in the file at `path`, or the run's own if `path`
    /// is nil, with overrides.
    ///
    /// - Throws: `Failure` (configuration) if a key that cannot change midway differs; it names the
    ///   first such key.
    package func recipe(given path: String?, overrides: [String]) throws(Failure) -> Recipe {
        // A recipe for a trained model may lack its shape.
        let startedFromModel = try run.readInitialModel() != nil
        // `??` would lose the type of the error.
        let text: String
        if let path { text = try readText(path) } else { text = try run.read(run.recipe) }
        let given = try Recipe(
            unchecked: text, name: path ?? run.recipe,
            settings: try overrides.map(RecipeSetting.init(_:)),
            model: path != nil && startedFromModel ? original.model : nil)
        var wanted = path == nil ? given : given.fillingUnsetKeys(from: original)
        wanted.makePathsAbsolute()
        let place = path ?? "--set"
        // Other keys may no longer fit a key that cannot change, so it is named first.
        if let difference = wanted.withoutFreeKeys(schedulesOf: original)
            .firstDifference(from: original.withoutFreeKeys)
        {
            throw .key(
                "\(place): \(difference.key)", difference.value,
                "cannot change midway, because the run in \(run.path) was started with "
                    + "\(difference.otherValue)",
                remedy: "resume without it, or start a new run in another folder")
        }
        try given.validate()
        if let difference = wanted.withoutFreeKeys.firstDifference(from: original.withoutFreeKeys),
            try !keepsSteps(wanted)
        {
            let isBatch = wanted.training.batchSchedule != original.training.batchSchedule
            throw .key(
                "\(place): \(difference.key)", difference.value,
                "would change the \(isBatch ? "batch" : "learning rate") of steps that the run in "
                    + "\(run.path) has taken",
                remedy: "keep the schedule up to step \(step), and append to it"
                    + (isBatch ? "" : " with schedule.parts"))
        }
        return wanted
    }

    /// Returns whether the steps that the run has taken have the same rates and batches under other
    /// schedules.
    private func keepsSteps(_ wanted: Recipe) throws(Failure) -> Bool {
        let before = try TrainingPlan(original, ranks: 1)
        let after = try TrainingPlan(wanted, ranks: 1)
        return (0..<step).allSatisfy {
            before.learningRate(after: $0) == after.learningRate(after: $0)
                && before.samples(after: $0 + 1) == after.samples(after: $0 + 1)
        }
    }
}

extension Recipe {
    /// The recipe with default values for all keys that do not affect the result of a step.
    var withoutFreeKeys: Recipe {
        var recipe = self
        let defaults = Recipe()
        recipe.training.steps = defaults.training.steps
        recipe.training.maximumSkippedSteps = defaults.training.maximumSkippedSteps
        recipe.training.recompute = defaults.training.recompute
        // The data may have moved; a fingerprint tells whether they have changed.
        for index in data.mixture.indices { recipe.data.mixture[index].path = "" }
        recipe.training.patience = defaults.training.patience
        recipe.evaluation = defaults.evaluation
        recipe.checkpoint = defaults.checkpoint
        recipe.telemetry = defaults.telemetry
        recipe.reduction.bucketMebibytes = defaults.reduction.bucketMebibytes
        recipe.reduction.balance = defaults.reduction.balance
        recipe.optimizer.sharded = defaults.optimizer.sharded
        return recipe
    }

    /// Returns the recipe without free keys, and with the schedules of another.
    fileprivate func withoutFreeKeys(schedulesOf other: Recipe) -> Recipe {
        var recipe = withoutFreeKeys
        recipe.schedule = other.schedule
        recipe.training.batchSchedule = other.training.batchSchedule
        return recipe
    }

    /// Makes the paths of data folders independent of the working directory.
    package mutating func makePathsAbsolute() {
        for index in data.mixture.indices {
            data.mixture[index].path = FileSystem.absolute(data.mixture[index].path)
        }
    }

    /// Returns the recipe with its unset keys filled from `original`, the recipe of a run, where
    /// every key is set.
    fileprivate func fillingUnsetKeys(from original: Recipe) -> Recipe {
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
