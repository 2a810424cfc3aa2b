import Recipes
import Support
import TestSupport
import Testing

/// Expects that resolving is refused with this sentence.
private func expect(
    _ sentence: String, _ scaling: ScalingConfiguration, at globalBatch: Int = 24,
    _ optimizer: OptimizerConfiguration = .init(learningRate: 1e-3),
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(
        throws: Failure(.configuration, sentence + (sentence.hasSuffix("?") ? "" : ".")),
        sourceLocation: sourceLocation
    ) {
        _ = try scaling.resolve(optimizer, globalBatch: globalBatch)
    }
}

/// Tests of impossible scaling.
@Suite struct BadScalingTests {
    @Test("missing and ignored keys of a rule are refused")
    func keys() {
        for rule in ["noise-scale", "surge"] {
            expect(
                "[scaling] noise_scale: is missing, but rule = \"\(rule)\" needs it; add the "
                    + "gradient noise scale in sequences, such as noise_scale = 256",
                .init(rule: .init(rawValue: rule) ?? .none))
        }
        expect(
            "[scaling] noise_scale = 256.0: does nothing with rule = \"linear\"; remove it, or set "
                + "rule = \"noise-scale\" or \"surge\"", .init(noiseScale: 256))
        for value in [0, -1, .nan, .infinity] {
            expect(
                "[scaling] noise_scale = \(value): must be a number of sequences above 0; set the "
                    + "gradient noise scale, such as 256", .init(rule: .surge, noiseScale: value))
        }
        expect(
            "[scaling] noise_exponent = 0.5: does nothing with rule = \"surge\"; remove it, or set "
                + "rule = \"noise-scale\"",
            .init(rule: .surge, noiseScale: 256, noiseExponent: 0.5))
        for value in [0.49, 1.01, .nan] {
            expect(
                "[scaling] noise_exponent = \(value): must be in [0.5, 1]; use 1 for SGD, or 0.5 for "
                    + "Adam and similar optimizers",
                .init(rule: .noiseScale, noiseScale: 256, noiseExponent: value))
        }
        expect(
            "[scaling] exponent = 0.5: does nothing with rule = \"adam-sde\"; remove it, or set rule "
                + "= \"power\"", .init(rule: .adamSDE, exponent: 0.5))
        expect(
            "[scaling] exponent = inf: must be a finite number; use 0.5 or another from 0 to 1",
            .init(rule: .beta2HalfLife, exponent: .infinity))
        expect(
            "[scaling] formula: is missing, but rule = \"formula\" needs it; add one such as "
                + "formula = \"lr * (B / B0)^0.7\"", .init(rule: .formula))
        expect(
            "[scaling] formula = \"lr\": does nothing with rule = \"sqrt\"; remove it, or set rule = "
                + "\"formula\"", .init(rule: .sqrt, formula: "lr"))
        expect(
            "[scaling] formula = \"lr * Bn\": mentions Bn, which noise_scale does not give; add the "
                + "gradient noise scale in sequences, such as noise_scale = 256",
            .init(rule: .formula, formula: "lr * Bn"))
        expect(
            "[scaling] noise_scale = 256.0: does nothing with a formula without Bn; remove it, or "
                + "write Bn in the formula",
            .init(rule: .formula, noiseScale: 256, formula: "lr * B / B0"))
        expect(
            "[scaling] formula = \"lr * (B\", column 6: \"(\" is not closed; add \")\"",
            .init(rule: .formula, formula: "lr * (B"))
    }

    @Test("rules that need Adam's moments or AdamW's decay refuse other optimizers")
    func optimizers() {
        for (rule, name) in [
            ("adam-sde", "sgd"), ("adam-sde", "lars"), ("beta2-half-life", "sgd"),
        ] {
            expect(
                "[scaling] rule = \"\(rule)\": scales betas, but [optimizer] name = \"\(name)\" "
                    + "has none; set name = \"adam\", \"adamw\" or \"lamb\", or rule = \"linear\"",
                .init(rule: .init(rawValue: rule) ?? .none), at: 24,
                .init(name: .init(rawValue: name) ?? .adamw))
        }
        for rule in ["adam-sde", "beta2-half-life"] {
            expect(
                "[scaling] rule = \"\(rule)\": scales Adam's betas, but the matrices of [optimizer] name "
                    + "= \"muon\" follow a momentum that it does not scale; set rule = \"sqrt\", or "
                    + "name = \"adamw\"", .init(rule: .init(rawValue: rule) ?? .none), at: 24,
                .init(name: .muon))
        }
        for name in ["sgd", "adam", "lamb", "lars"] {
            expect(
                "[scaling] weight_decay = \"timescale\": keeps the timescale of AdamW's decay, but "
                    + "[optimizer] name = \"\(name)\" has none; set name = \"adamw\" or \"muon\", or "
                    + "weight_decay = \"kept\"", .init(weightDecay: .timescale), at: 24,
                .init(name: .init(rawValue: name) ?? .adamw))
        }
    }

    @Test(
        "adam-sde refuses batches at which a beta would reach 0 and states the largest possible batch"
    )
    func largestBatch() throws {
        let scaling = ScalingConfiguration(rule: .adamSDE, baseBatch: 12)
        expect(
            "[training] global_batch = 240: is 20.0 times base_batch = 12, but rule = \"adam-sde\" "
                + "holds only below 1 / (1 - beta1) = 10.0 times; use at most 119, "
                + "or another rule", scaling, at: 240, .init(beta1: 0.9))
        let most = try scaling.resolve(.init(beta1: 0.9), globalBatch: 119).optimizer
        #expect(most.beta1 > 0 && most.beta1 < 0.01)
        expect(
            "[training] global_batch = 48: is 4.0 times base_batch = 12, but rule = \"adam-sde\" "
                + "holds only below 1 / (1 - beta2) = 4.0 times; use at most 47, or another rule",
            scaling, at: 48, .init(beta1: 0.9, beta2: 0.75))
        expect(
            "[training] global_batch = 13: is \(13.0 / 12) times base_batch = 12, but rule = "
                + "\"adam-sde\" holds only below 1 / (1 - beta1) = 1.0 times; use at most 12, or "
                + "another rule", scaling, at: 13, .init(beta1: 0))
        // Smaller batches are always possible, even without momentum.
        #expect(try scaling.resolve(.init(beta1: 0), globalBatch: 9).optimizer.beta1 == 0.25)
        expect(
            "[training] global_batch = \(Int.max): is \(Double(Int.max)) times base_batch = 1, but "
                + "rule = \"adam-sde\" holds only below 1 / (1 - beta1) = 10.0 times; "
                + "use at most 9, or another rule", .init(rule: .adamSDE, baseBatch: 1), at: .max)
    }

    @Test("formulas without a valid rate at the batch are refused")
    func formulas() {
        for (formula, value) in [
            ("lr * log(B / 96)", "-0.0013862943611198907"), ("lr - lr", "0.0"),
            ("log(-1)", "nan"), ("lr / (B - 24)", "inf"),
        ] {
            expect(
                "[scaling] formula = \"\(formula)\": gives \(value) with lr = 0.001 at global_batch = 24 "
                    + "and base_batch = 12; write one that gives a learning rate, a number above 0",
                .init(rule: .formula, baseBatch: 12, formula: formula))
        }
    }

    @Test("batches are refused if they are too far apart for any optimizer")
    func extremes() {
        expect(
            "[scaling] noise_scale = 5e-324: turns learning_rate = 0.001 into nan at global_batch = "
                + "24 with base_batch = 12; choose a noise_scale nearer to the batches",
            .init(rule: .surge, baseBatch: 12, noiseScale: .leastNonzeroMagnitude))
        expect(
            "[optimizer] betas[1] = 0.95: becomes 1.0 by [scaling] at global_batch = 1 with base_batch "
                + "= 1000000000000000000; choose batches that are closer together",
            .init(rule: .beta2HalfLife, baseBatch: 1_000_000_000_000_000_000), at: 1)
        expect(
            "[optimizer] epsilon = 1.2e-38: becomes 6e-39 by [scaling] at global_batch = 4 with "
                + "base_batch = 1; choose batches that are closer together",
            .init(rule: .adamSDE, baseBatch: 1), at: 4, .init(epsilon: 1.2e-38))
        expect(
            "[optimizer] weight_decay = 1e+38: becomes 1e+39 by [scaling] at global_batch = 10 with "
                + "base_batch = 1; choose batches that are closer together",
            .init(rule: .none, baseBatch: 1, weightDecay: .timescale), at: 10,
            .init(weightDecay: 1e38))
    }

    @Test("a warmup in tokens that does not fit, and one that a sequence ignores, are refused")
    func warmup() throws {
        let rate = try ScalingConfiguration(rule: .none, baseBatch: 12, warmup: .tokens)
            .resolve(.init(learningRate: 1e-3), globalBatch: 3)
        #expect(
            throws: Failure(
                .configuration,
                "[schedule] warmup_steps = 100, or 400 at this global_batch: must be below "
                    + "decay_steps = 300; use 299 at most, so that the rate can fall after it has "
                    + "risen.")
        ) {
            _ = try ScheduleConfiguration(warmupSteps: 100, decaySteps: 300)
                .resolve(rate, trainingSteps: 300)
        }
        #expect(
            throws: Failure(
                .configuration,
                "[scaling] warmup = \"tokens\": does nothing with name = \"sequence\"; remove it, and "
                    + "say the same with [[schedule.parts]].")
        ) {
            _ = try ScheduleConfiguration(name: .sequence, parts: [.init(name: .constant)])
                .resolve(rate, trainingSteps: 300)
        }
    }
}
