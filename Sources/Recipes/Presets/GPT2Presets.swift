extension Preset {
    /// The four sizes of GPT-2 (Radford et al. 2019, table 2).
    static let gpt2Presets = [
        gpt2("gpt2-small", layers: 12, heads: 12, width: 768, parameters: 124e6),
        gpt2("gpt2-medium", layers: 24, heads: 16, width: 1024, parameters: 355e6),
        gpt2("gpt2-large", layers: 36, heads: 20, width: 1280, parameters: 774e6),
        gpt2("gpt2-xl", layers: 48, heads: 25, width: 1600, parameters: 1558e6),
    ]

    private static func gpt2(
        _ name: String, layers: Int, heads: Int, width: Int, parameters: Double
    ) -> Preset {
        var recipe = Recipe()
        recipe.model.layers = layers
        recipe.model.heads = heads
        recipe.model.width = width
        recipe.model.contextLength = 1024
        recipe.model.dropout = 0.1
        recipe.setBatch(tokens: 512 * 1024, total: 20 * parameters)
        recipe.optimizer.name = .adam
        recipe.optimizer.learningRate = 2.5e-4
        recipe.optimizer.beta2 = 0.999
        recipe.optimizer.weightDecay = 0.01
        recipe.schedule.name = .cosine
        recipe.schedule.minimumLearningRate = 0
        return Preset(
            name: name,
            source: "Radford et al. 2019, table 2, with GPT-1's Adam (Radford et al. 2018).",
            notes: [
                "The length is not published. This one has 20 tokens per parameter, and 2 % warmup.",
                "For GPT-2's vocabulary, tokenize with --tokenizer gpt2.",
            ], recipe: recipe)
    }
}

extension Recipe {
    /// Sets the batch and the number of steps from tokens, and makes the batch the one at which the
    /// learning rate is right.
    ///
    /// - Parameters:
    ///   - tokens: the tokens of one optimizer step, a multiple of the context length.
    ///   - total: the tokens of the whole run.
    mutating func setBatch(tokens: Int, total: Double) {
        training.globalBatch = tokens / model.contextLength
        training.steps = Int((total / Double(tokens)).rounded(.up))
        scaling.baseBatch = training.globalBatch
    }
}
