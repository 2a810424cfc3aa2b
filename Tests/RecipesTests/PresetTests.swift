import Recipes
import Support
import TestSupport
import Testing

@Suite struct PresetTests {
    @Test("every preset is valid and equals what its TOML says", arguments: Preset.all.map(\.name))
    func roundTrip(name: String) throws {
        let preset = try Preset.named(name)
        try preset.recipe.validate()
        #expect(try Recipe(toml: preset.toml, name: name) == preset.recipe)
        #expect(preset.toml.hasPrefix("# \(name): "))
    }

    @Test("names are unique, and a wrong one is refused with the nearest")
    func names() {
        #expect(Set(Preset.all.map(\.name)).count == Preset.all.count)
        expectFailure(
            .usage, "\"gpt3-125\": is not the name of a recipe; did you mean \"gpt3-125m\"?"
        ) { _ = try Preset.named("gpt3-125") }
    }

    @Test("GPT-3's rows have the published sizes, batches and rates")
    func gpt3() throws {
        let rows: [(name: String, parameters: Double, batch: Double, rate: Double)] = [
            ("gpt3-125m", 125e6, 0.5e6, 6e-4), ("gpt3-350m", 350e6, 0.5e6, 3e-4),
            ("gpt3-760m", 760e6, 0.5e6, 2.5e-4), ("gpt3-1.3b", 1.3e9, 1e6, 2e-4),
            ("gpt3-2.7b", 2.7e9, 1e6, 1.6e-4), ("gpt3-6.7b", 6.7e9, 2e6, 1.2e-4),
            ("gpt3-13b", 13e9, 2e6, 1e-4), ("gpt3-175b", 175e9, 3.2e6, 6e-5),
        ]
        let presets = Preset.all.filter { $0.name.hasPrefix("gpt3-") }
        #expect(presets.map(\.name) == rows.map(\.name))
        for (preset, row) in zip(presets, rows) {
            let (model, optimizer) = (preset.recipe.model, preset.recipe.optimizer)
            // 12 L C^2 in the blocks, and the embeddings of tokens and positions.
            let parameters =
                12.0 * Double(model.layers * model.width * model.width)
                + Double((50_257 + model.contextLength) * model.width)
            #expect(abs(parameters / row.parameters - 1) < 0.03, "\(row.name)")
            let tokens = preset.recipe.training.globalBatch * model.contextLength
            #expect(abs(Double(tokens) / row.batch - 1) < 0.05, "\(row.name)")
            #expect(optimizer.learningRate == row.rate && optimizer.name == .adamw)
            #expect(
                (optimizer.beta1, optimizer.beta2, optimizer.weightDecay) == (0.9, 0.95, 0.1))
            #expect(abs(Double(tokens * preset.recipe.training.steps) / 300e9 - 1) < 1e-4)
        }
    }

    @Test("LLaMA's rows have the published sizes, batches and rates")
    func llama() throws {
        let rows: [(name: String, parameters: Double, tokens: Double, rate: Double)] = [
            ("llama-7b", 6.7e9, 1e12, 3e-4), ("llama-13b", 13.0e9, 1e12, 3e-4),
            ("llama-33b", 32.5e9, 1.4e12, 1.5e-4), ("llama-65b", 65.2e9, 1.4e12, 1.5e-4),
        ]
        let presets = Preset.all.filter { $0.name.hasPrefix("llama-") }
        #expect(presets.map(\.name) == rows.map(\.name))
        for (preset, row) in zip(presets, rows) {
            let (model, optimizer) = (preset.recipe.model, preset.recipe.optimizer)
            // Four attention matrices and three of the hidden layer, and two tables of tokens.
            let parameters =
                Double(model.layers * model.width * (4 * model.width + 3 * model.mlpWidth))
                + Double(2 * preset.vocabularySize * model.width)
            #expect(abs(parameters / row.parameters - 1) < 0.01, "\(row.name)")
            let tokens = preset.recipe.training.globalBatch * model.contextLength
            #expect(tokens == 4 << 20)
            #expect(abs(Double(tokens * preset.recipe.training.steps) / row.tokens - 1) < 1e-4)
            #expect(optimizer.learningRate == row.rate && optimizer.name == .adamw)
            #expect(
                (optimizer.beta1, optimizer.beta2, optimizer.weightDecay, optimizer.clipNorm)
                    == (0.9, 0.95, 0.1, 1))
            #expect(preset.recipe.schedule.warmupSteps == 2000)
            #expect(preset.recipe.schedule.minimumLearningRate == row.rate / 10)
        }
    }

    @Test("GPT-2's sizes have the published rate and decay, and the default that of the guide")
    func otherSettings() throws {
        let presets = Preset.all.filter { $0.name.hasPrefix("gpt2-") }
        #expect(presets.count == 4)
        for preset in presets {
            let optimizer = preset.recipe.optimizer
            #expect(
                (optimizer.name, optimizer.learningRate, optimizer.weightDecay)
                    == (.adam, 2.5e-4, 0.01))
        }
        let recipe = try Preset.named("default").recipe
        let optimizer = recipe.optimizer
        #expect((optimizer.name, optimizer.learningRate) == (.adamw, 3e-4))
        #expect((optimizer.beta1, optimizer.beta2, optimizer.weightDecay) == (0.9, 0.95, 0.1))
        #expect(recipe.schedule.name == .cosine)
        #expect(recipe.schedule.warmupSteps == recipe.training.steps / 50)
    }

    @Test("typical rates follow the guide, fall with the size, and end at its bounds")
    func typicalRates() {
        for guide in TypicalRates.guide {
            let range = TypicalRates.range(parameters: guide.parameters)
            #expect(abs(range.lowerBound / guide.rates.lowerBound - 1) < 1e-12)
            #expect(abs(range.upperBound / guide.rates.upperBound - 1) < 1e-12)
        }
        let between = TypicalRates.range(parameters: 1e9 * 10.0.squareRoot())
        #expect(abs(between.lowerBound / (1e-4 * 3e-5).squareRoot() - 1) < 1e-12)
        #expect(TypicalRates.range(parameters: 1e3) == 3e-4...1e-3)
        #expect(TypicalRates.range(parameters: 1e15) == 1e-5...3e-5)
        let rates: [(Double, Bool)] = [
            (2.9e-5, true), (3.1e-5, false), (9.9e-3, false), (1.1e-2, true),
        ]
        for (rate, isFar) in rates {
            #expect(TypicalRates.isFar(rate, from: 3e-4...1e-3) == isFar, "\(rate)")
        }
    }
}
