import Support

/// A recipe resolved for its data and a number of ranks.
package struct TrainingPlan: Sendable {
    /// The recipe with every key set. The values after scaling are in `rate`.
    package let recipe: Recipe
    package let lanes: LaneConfiguration
    /// The rate and the optimizer after scaling, which the steps use.
    package let rate: BatchScaling
    package let schedule: Schedule
    /// The number of tokens in a sequence: the recipe's context length, or fewer in a benchmark.
    package let sequenceLength: Int

    /// Resolves a recipe whose model's vocabulary is known.
    ///
    /// - Parameter sequenceLength: the number of tokens in a sequence; the context length by default.
    /// - Throws: `Failure` (configuration) that names the nearest values that would work.
    package init(
        _ recipe: Recipe, ranks: Int, sequenceLength: Int? = nil
    ) throws(Failure) {
        try recipe.validate()
        self.sequenceLength = sequenceLength ?? recipe.model.contextLength
        lanes = try LaneConfiguration(
            globalBatch: recipe.training.globalBatch, lanes: recipe.reduction.lanes,
            microBatch: recipe.training.microBatch, ranks: ranks)
        rate = try recipe.scaling.resolve(
            recipe.optimizer, globalBatch: recipe.training.globalBatch)
        schedule = try recipe.schedule.resolve(rate, trainingSteps: recipe.training.steps)
        self.recipe = Self.settled(recipe, lanes: lanes, rate: rate)
    }

    /// Returns the recipe with the defaults of unset keys.
    ///
    /// A run that is resumed reads this, so a later default, rank count or number of steps cannot
    /// change the results.
    private static func settled(
        _ recipe: Recipe, lanes: LaneConfiguration, rate: BatchScaling
    ) -> Recipe {
        var recipe = recipe
        recipe.reduction.lanes = lanes.laneCount
        recipe.training.microBatch = lanes.microBatch
        recipe.scaling.baseBatch = rate.baseBatch
        recipe.scaling.settle(for: recipe.optimizer)
        let name = recipe.schedule.name
        if name != .sequence {
            recipe.schedule.warmupSteps = recipe.schedule.warmupSteps(
                trainingSteps: recipe.training.steps)
        }
        if name != .sequence, name != .constant {
            recipe.schedule.decaySteps = recipe.schedule.decaySteps(
                trainingSteps: recipe.training.steps, at: rate)
            recipe.schedule.minimumLearningRate =
                recipe.schedule.minimumLearningRate ?? rate.baseLearningRate / 10
        }
        if let last = recipe.schedule.parts.indices.last, recipe.schedule.parts[last].steps == nil {
            let before = recipe.schedule.parts.dropLast().reduce(
                recipe.schedule.decaySteps ?? 0
            ) { $0 + ($1.steps ?? 0) }
            recipe.schedule.parts[last].steps = max(1, recipe.training.steps - before)
        }
        return recipe
    }

    /// The number of tokens in one optimizer step, over all ranks.
    package var tokensPerStep: Int { recipe.training.globalBatch * sequenceLength }

    /// The number of tokens that go through the model at once.
    package var tokensPerMicroBatch: Int { lanes.microBatch * sequenceLength }

    /// Returns the learning rate of the step that follows `step` finished steps.
    package func learningRate(after step: Int) -> Double { schedule.learningRate(at: step) }

    /// A warning about steps that change nothing because their rate is 0; nil if there are no such
    /// steps.
    package var zeroRateWarning: String? {
        let steps = recipe.training.steps
        guard learningRate(after: steps - 1) == 0 else { return nil }
        guard let end = recipe.schedule.end(trainingSteps: steps, at: rate), end < steps else {
            guard steps == 1 else { return nil }
            return
                "the only step trains at rate 0, where the warmup starts, and changes nothing; give "
                + "--set schedule.warmup_steps=0"
        }
        return
            "the steps after step \(end), where the schedule ends, train at rate 0 and change nothing; "
            + "give them a schedule of their own, such as --set "
            + "'schedule.parts=[{name=\"cosine\", steps=\(steps - end), start_factor=0.5, "
            + "end_factor=0.05}]'"
    }
}
