import Foundation
import Recipes
import Support
import TestSupport
import Testing

/// Tests of recipes that are read from TOML and the command line, written and read again.
@Suite struct RecipeTests {
    /// The recipes that are distributed with the program.
    static let shipped: [String] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "launch/recipes").path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".toml") }.sorted().map { "\(folder)/\($0)" }
    }()

    @Test("the named recipes are shipped")
    func namedRecipesAreShipped() {
        let names = Self.shipped.map { URL(filePath: $0).lastPathComponent }
        for name in ["quickstart", "nanogpt-shakespeare-cpu", "gpt2-124m", "gpt3-125m"] {
            #expect(names.contains("\(name).toml"))
        }
    }

    @Test("every shipped recipe has a plan", arguments: shipped)
    func everyShippedRecipeWorks(path: String) throws {
        let recipe = try Recipe(toml: readText(path), name: path)
        #expect(recipe.scaling.baseBatch == recipe.training.globalBatch)
        for ranks in [1, 2, 4] {
            let plan = try TrainingPlan(recipe, ranks: ranks)
            #expect(plan.lanes.laneCount >= ranks)
            #expect(plan.rate.factor == 1, "the recipe's own batch is its base")
            // The stored recipe reads back to the last bit and gives the same plan.
            let stored = try Recipe(toml: plan.recipe.toml, name: "recipe.toml")
            #expect(stored == plan.recipe)
            #expect(stored.toml == plan.recipe.toml)
            let again = try TrainingPlan(stored, ranks: 1)
            #expect(again.recipe == plan.recipe)
            for step in [0, 1, 99, 100, 101, recipe.training.steps - 1] {
                #expect(again.learningRate(after: step) == plan.learningRate(after: step))
            }
        }
    }

    @Test("an empty recipe has the defaults")
    func emptyRecipeHasTheDefaults() throws {
        let empty = try recipe("")
        #expect(empty.optimizer.name == .adamw)
        #expect(empty.optimizer.learningRate == 3e-4)
        #expect(empty.optimizer.beta1 == 0.9 && empty.optimizer.beta2 == 0.95)
        #expect(empty.optimizer.epsilon == 1e-8)
        #expect(empty.optimizer.weightDecay == 0.1)
        #expect(empty.optimizer.clipNorm == 1)
        #expect(empty.scaling.rule == .linear)
        #expect(empty.scaling.baseBatch == empty.training.globalBatch)
        let plan = try TrainingPlan(empty, ranks: 1)
        #expect(plan.recipe.schedule.warmupSteps == empty.training.steps / 50)
        #expect(plan.recipe.schedule.minimumLearningRate == 3e-4 / 10)
    }

    /// A recipe with a value for every key that is not its default; some values are unusual.
    private static let unusual = """
        [model]
        architecture = "gpt2"
        layers = 3
        heads = 5
        width = 35
        context_length = 17
        vocabulary_size = 77
        bias = false
        dropout = 0.30000000000000004
        [training]
        steps = 1_000
        global_batch = 30
        micro_batch = 3
        precision = "fp32"
        recompute = true
        seed = 9223372036854775807
        max_skipped_steps = 4
        [optimizer]
        name = "sgd"
        learning_rate = 1.2345678901234567e-5
        momentum = 0.5
        nesterov = true
        betas = [0, 0.12345]
        epsilon = 1e-30
        weight_decay = 1e-323
        decay = "all"
        clip_norm = 0
        sharded = true
        [schedule]
        name = "wsd"
        warmup_steps = 7
        warmup_start_factor = 1e-3
        stable_steps = 11
        decay_steps = 900
        minimum_learning_rate = 1e-300
        decay = "sqrt"
        [scaling]
        rule = "power"
        exponent = -0.25
        base_batch = 60
        warmup = "tokens"
        [reduction]
        lanes = 10
        bucket_mib = 0.3
        wire = "bf16"
        balance = "off"
        [evaluation]
        every = 0
        windows = 9
        [checkpoint]
        every = 0
        keep = 0
        best = false
        background = false
        compare_every = 7
        [data]
        reset_at_documents = true
        [telemetry]
        tensorboard = true
        histogram_every = 11
        sample_every = 13
        """

    @Test("every key survives a round trip")
    func everyKeySurvivesARoundTrip() throws {
        let first = try recipe(Self.unusual)
        #expect(first.training.seed == UInt64(Int.max))
        #expect(first.model.dropout == 0.1 + 0.2)
        #expect(first.optimizer.weightDecay == .leastNonzeroMagnitude * 2)
        #expect(first.checkpoint.keep == 0 && first.evaluation.every == 0)
        let text = first.toml
        #expect(try recipe(text) == first)
        #expect(try recipe(text).toml == text)
        // No key has its default, so the comparison includes every key.
        let defaults = try recipe("").toml.split(separator: "\n")
        let same = text.split(separator: "\n").filter { line in
            line.contains(" = ") && !line.hasPrefix("#") && defaults.contains(line)
        }
        #expect(
            same == [
                "architecture = \"gpt2\"", "parametrization = \"standard\"", "precision = \"fp32\"",
                "dampening = 0.0",
                "trust_coefficient = 0.001", "warmup = \"linear\"", "weight_decay = \"kept\"",
                "gradual_warmup = false",
            ], "these have one value, or one that goes with the others")
    }

    @Test("every key of a LLaMA survives a round trip, and a GPT-2 has none of them")
    func llamaSurvivesARoundTrip() throws {
        let first = try recipe(
            """
            [model]
            architecture = "llama"
            kv_heads = 2
            hidden_width = 300
            rope_theta = 5e5
            rope_scaling = { factor = 32, high_frequency = 5, original_context = 4096 }
            norm_epsilon = 1e-6
            bias = false
            tied_head = true
            """)
        #expect(first.model.kvHeadCount == 2 && first.model.mlpWidth == 300)
        #expect(first.model.ropeScaling?.factor == 32 && first.model.ropeScaling?.lowFrequency == 1)
        #expect(first.model.tiesHead && !first.model.bias)
        #expect(try recipe(first.toml) == first)
        #expect(try recipe(first.toml).toml == first.toml)
        let scaled = try recipe(first.toml, set: "model.rope_scaling={ factor = 2 }")
        #expect(scaled.model.ropeScaling?.factor == 2)
        let usual = try recipe("[model]\narchitecture = \"llama\"")
        #expect(!usual.model.tiesHead && !usual.model.bias && usual.model.kvHeadCount == 4)
        #expect(usual.model.mlpWidth == 512, "8/3 of 128, rounded up to a multiple of 256")
        #expect(!usual.toml.contains("bias"))
        for key in ["kv_heads", "hidden_width", "rope_", "norm_epsilon", "tied_head"] {
            #expect(try !recipe("").toml.contains("\n\(key)"), "\(key)")
        }
        #expect(try recipe("").toml.contains("\nbias = true\n"))
    }

    @Test("a LLaMA of another width keeps the proportions of its heads and its hidden layer")
    func llamaResizes() throws {
        var model = try recipe(
            """
            [model]
            architecture = "llama"
            kv_heads = 2
            hidden_width = 320
            """
        ).model
        let wider = try model.resized(
            to: ModelSize(width: 256, layers: 6), .standard, base: model.size)
        #expect((wider.heads, wider.kvHeads, wider.hiddenWidth) == (8, 4, 640))
        expectFailure(.configuration, "width = 96: makes 3 heads") {
            _ = try model.resized(
                to: ModelSize(width: 96, layers: 4), .standard, base: model.size)
        }
        model.kvHeads = nil
        model.hiddenWidth = nil
        let smaller = try model.resized(
            to: ModelSize(width: 96, layers: 4), .standard, base: model.size)
        #expect((smaller.kvHeadCount, smaller.mlpWidth) == (3, 256))
    }

    /// Some keys are only valid with certain rules.
    @Test(
        "scaling survives a round trip",
        arguments: [
            "[scaling]\nrule = \"noise-scale\"\nnoise_scale = 0.1\nnoise_exponent = 0.75",
            "[scaling]\nrule = \"noise-scale\"\nnoise_scale = 300",
            "[scaling]\nrule = \"sqrt\"\nbase_batch = 8\n[optimizer]\nlearning_rate = 1e-3",
            "[scaling]\nrule = \"surge\"\nnoise_scale = 1e300\nweight_decay = \"timescale\"",
            "[scaling]\nrule = \"formula\"\nformula = 'lr * (B\t/ B0)^0.7'\nbase_batch = 5",
            "[scaling]\nrule = \"formula\"\nformula = 'lr / (1 + Bn/B)'\nnoise_scale = 12",
            "[scaling]\nrule = \"adam-sde\"",
            "[scaling]\nrule = \"beta2-half-life\"\nexponent = 0.5",
            "[optimizer]\nname = \"lars\"\ntrust_coefficient = 0.02",
            "[optimizer]\nname = \"lamb\"",
            "[optimizer]\nname = \"muon\"\nadam_learning_rate = 0.02\nnesterov = false",
            "[training]\npatience = 3\nbatch_schedule = [{ after_steps = 7, batch = 32 }, "
                + "{ after_tokens = 123456789, batch = 16 }]",
        ])
    func scalingSurvivesARoundTrip(toml: String) throws {
        let first = try recipe(toml, set: "training.global_batch=16")
        let text = first.toml
        #expect(try recipe(text) == first)
        #expect(try recipe(text).toml == text)
        let plan = try TrainingPlan(first, ranks: 1)
        #expect(plan.recipe.optimizer == first.optimizer, "as written, not as scaled")
        let again = try TrainingPlan(recipe(plan.recipe.toml), ranks: 1)
        #expect(again.recipe == plan.recipe)
        #expect(again.rate == plan.rate)
        let steps = 0...first.training.steps
        #expect(steps.map(again.learningRate) == steps.map(plan.learningRate))
    }

    @Test("a sequence of schedules survives a round trip")
    func aSequenceOfSchedulesSurvivesARoundTrip() throws {
        let sequence = try recipe(
            """
            [training]
            steps = 100
            [[schedule.parts]]
            name = "linear"
            steps = 10
            start_factor = 0.1
            end_factor = 1
            [[schedule.parts]]
            name = "constant"
            steps = 50
            [[schedule.parts]]
            name = "cosine"
            end_factor = 0.05
            [schedule]
            name = "sequence"
            """)
        #expect(
            sequence.schedule.parts == [
                .init(name: .linear, steps: 10, startFactor: 0.1, endFactor: 1),
                .init(name: .constant, steps: 50), .init(name: .cosine, endFactor: 0.05),
            ])
        #expect(try recipe(sequence.toml) == sequence)
        let plan = try TrainingPlan(sequence, ranks: 1)
        #expect(plan.learningRate(after: 0) == 3e-4 * 0.1)
        #expect(plan.learningRate(after: 30) == 3e-4)
        // On the command line, the same parts are one value.
        let override = try recipe(
            "", set: "schedule.name=sequence",
            "schedule.parts=[{ name = \"constant\", start_factor = 0.5 }]")
        #expect(override.schedule.parts == [.init(name: .constant, startFactor: 0.5)])
    }

    @Test("overrides accept bare words, numbers and lists")
    func overridesAcceptBareWordsNumbersAndLists() throws {
        let result = try recipe(
            "[optimizer]\nname = \"adam\"", set: "optimizer.name=adamw",
            "schedule.name=\"linear\"", "optimizer.betas=[0.8, 0.9]", "training.steps=1e3",
            "model.bias=false", "optimizer.learning_rate=1", "training.seed=7",
            "training.seed=8")
        #expect(result.optimizer.name == .adamw)
        #expect(result.schedule.name == .linear)
        #expect(result.optimizer.beta1 == 0.8 && result.optimizer.beta2 == 0.9)
        #expect(result.training.steps == 1000)
        #expect(!result.model.bias)
        #expect(result.optimizer.learningRate == 1)
        #expect(result.training.seed == 8, "the last one counts")
    }

    @Test("unset weight decay depends on the optimizer")
    func unsetWeightDecayDependsOnTheOptimizer() throws {
        #expect(try recipe("").optimizer.weightDecay == 0.1)
        #expect(try recipe("[optimizer]\nname = \"sgd\"").optimizer.weightDecay == 0)
        #expect(try recipe("", set: "optimizer.name=adam").optimizer.weightDecay == 0)
        let named = "[optimizer]\nname = \"sgd\"\nweight_decay = 0.01"
        #expect(try recipe("", set: "optimizer.name=lamb").optimizer.weightDecay == 0.01)
        #expect(try recipe(named).optimizer.weightDecay == 0.01)
        #expect(try recipe(named, set: "optimizer.name=adamw").optimizer.weightDecay == 0.01)
        #expect(
            try recipe("", set: "optimizer.weight_decay=0.3", "optimizer.name=adam").optimizer
                .weightDecay == 0.3)
    }

    @Test("unset momentum is Nesterov's with Muon and none otherwise")
    func unsetMomentumDependsOnTheOptimizer() throws {
        func momentum(_ toml: String, _ overrides: String...) throws -> (Double, Bool) {
            let recipe = try Recipe(toml: toml, name: "test.toml", overrides: overrides)
            return (recipe.optimizer.momentum, recipe.optimizer.nesterov)
        }
        let muon = "[optimizer]\nname = \"muon\""
        #expect(try momentum("") == (0, false))
        #expect(try momentum("", "optimizer.name=muon") == (0.95, true))
        #expect(try momentum(muon + "\nmomentum = 0.9") == (0.9, true))
        #expect(try momentum(muon, "optimizer.nesterov=false") == (0.95, false))
        #expect(try momentum(muon, "optimizer.momentum=0") == (0, false))
        #expect(try momentum(muon, "optimizer.name=sgd") == (0, false))
        // A stored recipe has every key.
        let stored = try TrainingPlan(recipe(muon), ranks: 1).recipe
        #expect(try recipe(stored.toml) == stored)
    }

    @Test("a rule scales both rates of Muon alike")
    func muonsRates() throws {
        let written =
            "[optimizer]\nname = \"muon\"\nlearning_rate = 0.02\nadam_learning_rate = 0.005"
        let plan = try TrainingPlan(
            recipe(
                written, set: "training.global_batch=48", "scaling.base_batch=12",
                "scaling.rule=sqrt"), ranks: 1)
        #expect(plan.rate.peakLearningRate == 0.04)
        #expect(plan.rate.optimizer.adamLearningRate == 0.01)
        #expect(plan.rate.optimizer.adamLearningRateFactor == 0.25)
        #expect(try recipe("", set: "optimizer.name=muon").optimizer.adamLearningRateFactor == 1)
    }

    /// An unset base batch is the recipe's batch.
    @Test("overriding the batch scales the rate")
    func overridingTheBatchScalesTheRate() throws {
        let written = "[training]\nglobal_batch = 8\n[optimizer]\nlearning_rate = 1e-3"
        func rate(_ toml: String, _ overrides: String...) throws -> (Int, Double) {
            let plan = try TrainingPlan(
                Recipe(toml: toml, name: "test.toml", overrides: overrides), ranks: 1)
            return (plan.rate.baseBatch, plan.rate.peakLearningRate)
        }
        #expect(try rate(written) == (8, 1e-3))
        #expect(try rate(written, "training.global_batch=32") == (8, 4e-3))
        #expect(try rate(written, "training.global_batch=32", "scaling.rule=sqrt") == (8, 2e-3))
        #expect(try rate(written, "training.global_batch=32", "scaling.rule=none") == (8, 1e-3))
        #expect(
            try rate(written, "training.global_batch=32", "scaling.base_batch=16") == (16, 2e-3))
        #expect(
            try rate(written + "\n[scaling]\nbase_batch = 4", "training.global_batch=32")
                == (4, 8e-3))
        // If the batch is unset too, the base is the default batch.
        #expect(
            try rate("[optimizer]\nlearning_rate = 1e-3", "training.global_batch=24") == (12, 2e-3))
        // A stored recipe states its base and is not scaled again.
        let stored = try TrainingPlan(
            recipe(written, set: "training.global_batch=32"), ranks: 1
        ).recipe.toml
        #expect(try rate(stored) == (8, 4e-3))
    }

    @Test("the first difference between recipes is named")
    func firstDifferenceIsNamed() throws {
        let one = try recipe("[model]\nwidth = 64")
        let other = try recipe("[model]\nwidth = 32\n[training]\nsteps = 7")
        let difference = try #require(one.firstDifference(from: other))
        #expect(difference.key == "[model] width")
        #expect(difference.value == "64" && difference.otherValue == "32")
        #expect(one.firstDifference(from: one) == nil)
        let unsetValue = try #require(
            recipe("").firstDifference(from: recipe("[schedule]\nwarmup_steps = 3")))
        #expect(unsetValue.value == "not set" && unsetValue.otherValue == "3")
    }

    @Test("the reference contains every key")
    func referenceContainsEveryKey() throws {
        let reference = Recipe.reference
        for line in try recipe(Self.unusual).toml.split(separator: "\n")
        where !line.hasPrefix("#") {
            let name = line.hasPrefix("[") ? String(line) : String(line.prefix { $0 != "=" })
            #expect(reference.contains(name.trimmingCharacters(in: .whitespaces)))
        }
    }
}
