extension Preset {
    /// Recipes that train on a laptop, and the recommended default.
    static let smallPresets = [
        small(
            "characters", "a character model of 0.8 million parameters, for minutes on two cores.",
            layers: 4, width: 128, context: 64, batch: 16, steps: 1500, rate: 2e-3, beta2: 0.99,
            vocabularySize: 73),
        small(
            "stories",
            "a model of 16 million parameters with GPT-2's vocabulary.",
            layers: 4, width: 256, context: 256, batch: 32, steps: 4000, rate: 1e-3, beta2: 0.99),
        recommended,
    ]

    /// The default of the learning-rate guide, at the size of GPT-2 small.
    private static let recommended: Preset = {
        var recipe = Recipe()
        recipe.model.layers = 12
        recipe.model.heads = 12
        recipe.model.width = 768
        recipe.model.contextLength = 1024
        recipe.setBatch(tokens: 512 * 1024, total: 20 * 124e6)
        recipe.setAdamW(rate: 3e-4, beta2: 0.95)
        return Preset(
            name: "default",
            source: "AdamW with a cosine, the settings to start from if nothing else is known.",
            notes: ["A warmup of 2 % of the steps. Change the size, and keep the rest at first."],
            recipe: recipe)
    }()

    private static func small(
        _ name: String, _ source: String, layers: Int, width: Int, context: Int, batch: Int,
        steps: Int, rate: Double, beta2: Double, vocabularySize: Int = 50_257
    ) -> Preset {
        var recipe = Recipe()
        recipe.model.layers = layers
        recipe.model.heads = 4
        recipe.model.width = width
        recipe.model.contextLength = context
        recipe.training.globalBatch = batch
        recipe.training.steps = steps
        recipe.scaling.baseBatch = batch
        recipe.setAdamW(rate: rate, beta2: beta2)
        return Preset(
            name: name, source: source, notes: [], recipe: recipe, vocabularySize: vocabularySize)
    }
}

extension Recipe {
    /// Sets AdamW with a warmup over 2 % of the steps and a cosine to a tenth of the rate.
    fileprivate mutating func setAdamW(rate: Double, beta2: Double) {
        optimizer.name = .adamw
        optimizer.learningRate = rate
        optimizer.beta2 = beta2
        optimizer.weightDecay = 0.1
        schedule.name = .cosine
        schedule.warmupSteps = training.steps / 50
        schedule.minimumLearningRate = rate / 10
    }
}
