extension Preset {
    /// The four sizes of LLaMA (Touvron et al. 2023, 2302.13971, table 2).
    static let llamaPresets = [
        llama("llama-7b", layers: 32, heads: 32, width: 4096, tokens: 1.0e12, rate: 3e-4),
        llama("llama-13b", layers: 40, heads: 40, width: 5120, tokens: 1.0e12, rate: 3e-4),
        llama("llama-33b", layers: 60, heads: 52, width: 6656, tokens: 1.4e12, rate: 1.5e-4),
        llama("llama-65b", layers: 80, heads: 64, width: 8192, tokens: 1.4e12, rate: 1.5e-4),
    ]

    private static func llama(
        _ name: String, layers: Int, heads: Int, width: Int, tokens: Double, rate: Double
    ) -> Preset {
        var recipe = Recipe()
        recipe.model.architecture = "llama"
        recipe.model.layers = layers
        recipe.model.heads = heads
        recipe.model.width = width
        recipe.model.contextLength = 2048
        recipe.setBatch(tokens: 4 << 20, total: tokens)
        recipe.optimizer.name = .adamw
        recipe.optimizer.learningRate = rate
        recipe.optimizer.beta2 = 0.95
        recipe.optimizer.weightDecay = 0.1
        recipe.schedule.name = .cosine
        recipe.schedule.warmupSteps = 2000
        recipe.schedule.minimumLearningRate = rate / 10
        return Preset(
            name: name, source: "Touvron et al. 2023 (2302.13971), table 2 and section 2.3.",
            notes: [
                "Batches of 4 million tokens, warmup over 2000 steps, and a cosine to a tenth.",
                "The hidden layer's width follows LLaMA's rule, and the tokenizer has 32,000 tokens.",
            ], recipe: recipe, vocabularySize: 32_000)
    }
}
