extension Preset {
    /// The eight sizes of GPT-3 (Brown et al. 2020, 2005.14165, table 2.1).
    static let gpt3Presets = [
        gpt3("gpt3-125m", layers: 12, heads: 12, width: 768, sequences: 256, rate: 6e-4),
        gpt3("gpt3-350m", layers: 24, heads: 16, width: 1024, sequences: 256, rate: 3e-4),
        gpt3("gpt3-760m", layers: 24, heads: 16, width: 1536, sequences: 256, rate: 2.5e-4),
        gpt3(
            "gpt3-1.3b", layers: 24, heads: 16, width: 2048, sequences: 512, rate: 2e-4,
            note: "The table's 24 heads of 128 channels do not fit the width; 16 do."),
        gpt3("gpt3-2.7b", layers: 32, heads: 32, width: 2560, sequences: 512, rate: 1.6e-4),
        gpt3("gpt3-6.7b", layers: 32, heads: 32, width: 4096, sequences: 1024, rate: 1.2e-4),
        gpt3(
            "gpt3-13b", layers: 40, heads: 40, width: 5120, sequences: 1024, rate: 1e-4,
            note: "The table's width of 5140 is not divisible by 40 heads; 5120 is."),
        gpt3("gpt3-175b", layers: 96, heads: 96, width: 12288, sequences: 1536, rate: 6e-5),
    ]

    private static func gpt3(
        _ name: String, layers: Int, heads: Int, width: Int, sequences: Int, rate: Double,
        note: String? = nil
    ) -> Preset {
        var recipe = Recipe()
        recipe.model.layers = layers
        recipe.model.heads = heads
        recipe.model.width = width
        recipe.model.contextLength = 2048
        let tokens = sequences * recipe.model.contextLength
        recipe.setBatch(tokens: tokens, total: 300e9)
        recipe.optimizer.name = .adamw
        recipe.optimizer.learningRate = rate
        recipe.optimizer.beta2 = 0.95
        recipe.optimizer.weightDecay = 0.1
        recipe.schedule.name = .cosine
        recipe.schedule.warmupSteps = 375_000_000 / tokens
        recipe.schedule.decaySteps = 260_000_000_000 / tokens
        recipe.schedule.minimumLearningRate = rate / 10
        return Preset(
            name: name, source: "Brown et al. 2020 (2005.14165), table 2.1 and appendix B.",
            notes: [
                "300 billion tokens; warmup over 375 million, cosine to a tenth at 260 billion.",
                "The paper raises the batch during the first tokens; this recipe does not.",
            ] + (note.map { [$0] } ?? []), recipe: recipe)
    }
}
