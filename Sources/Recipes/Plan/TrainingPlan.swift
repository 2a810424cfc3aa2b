import Support

/// A recipe resolved for its data and a number of ranks.
package struct TrainingPlan: Sendable {
    /// The recipe with every key set. The values after scaling are in `rate`.
    package let recipe: Recipe
    /// The stages of the run, each with its batch; one unless the recipe has a batch schedule.
    package let stages: [BatchStage]
    /// The lanes of the first stage.
    package let lanes: LaneConfiguration
    /// The rate and the optimizer after scaling in the first stage.
    package let rate: BatchScaling
    /// The schedule of the rate, at the batch of the first stage.
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
        stages = try BatchStage.stages(of: recipe, ranks: ranks)
        (lanes, rate) = (stages[0].lanes, stages[0].rate)
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

    /// The number of tokens in one optimizer step of the first stage, over all ranks.
    package var tokensPerStep: Int { recipe.training.globalBatch * sequenceLength }

    /// Returns the stage of the step that follows `step` finished steps.
    package func stage(after step: Int) -> BatchStage {
        stages.last { $0.firstStep <= step } ?? stages[0]
    }

    /// Returns the number of sequences in the first `step` steps, over all ranks.
    package func samples(after step: Int) -> Int { stage(after: step).samples(after: step) }

    /// Returns the number of tokens in the first `step` steps, over all ranks.
    package func tokens(after step: Int) -> Int { samples(after: step) * sequenceLength }

    /// The number of tokens that go through the model at once.
    package var tokensPerMicroBatch: Int { lanes.microBatch * sequenceLength }

    /// Returns the learning rate of the step that follows `step` finished steps: that of the
    /// schedule, scaled to the batch of the step.
    package func learningRate(after step: Int) -> Double {
        let scheduled = schedule.learningRate(at: step)
        let stage = stage(after: step)
        guard stage.lanes.globalBatch != lanes.globalBatch else { return scheduled }
        return scheduled * (stage.rate.factor / rate.factor)
    }

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
