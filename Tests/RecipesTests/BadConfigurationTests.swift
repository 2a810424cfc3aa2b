import Recipes
import Support
import TestSupport
import Testing

/// Expects a `.configuration` failure with this sentence.
private func expect(
    _ sentence: String, sourceLocation: SourceLocation = #_sourceLocation,
    from body: () throws -> Void
) {
    #expect(
        throws: Failure(.configuration, sentence + (sentence.hasSuffix("?") ? "" : ".")),
        sourceLocation: sourceLocation
    ) {
        try body()
    }
}

/// Tests of impossible configurations.
@Suite struct BadConfigurationTests {
    @Test("the defaults and the bounds of allowed values are valid")
    func valid() throws {
        try OptimizerConfiguration().validate()
        try OptimizerConfiguration(
            name: .sgd, learningRate: 1e-30, momentum: 0.999, dampening: 1, weightDecay: 0,
            clipNorm: 0
        ).validate()
        try OptimizerConfiguration(
            name: .adam, beta1: 0, beta2: 0.999_999, epsilon: 1.2e-38, weightDecay: 3
        ).validate()
        try OptimizerConfiguration(name: .sgd, momentum: 0.9, nesterov: true).validate()
        try OptimizerConfiguration(name: .lamb).validate()
        try OptimizerConfiguration(
            name: .lars, momentum: 0.9, dampening: 0.1, trustCoefficient: 1e-9
        ).validate()
    }

    @Test("only AdamW and LAMB have weight decay if it is unset")
    func unsetDecay() {
        #expect(OptimizerConfiguration(name: .adamw).weightDecay == 0.1)
        #expect(OptimizerConfiguration(name: .adam).weightDecay == 0)
        #expect(OptimizerConfiguration(name: .sgd).weightDecay == 0)
        #expect(OptimizerConfiguration(name: .lamb).weightDecay == 0.01)
        #expect(OptimizerConfiguration(name: .lars).weightDecay == 0)
        #expect(OptimizerConfiguration(name: .sgd, weightDecay: 0.1).weightDecay == 0.1)
    }

    @Test("a misspelled choice has a suggestion")
    func misspelled() throws {
        expect(
            "[optimizer] name = \"adamW\": must be one of \"sgd\", \"adam\", \"adamw\", \"lamb\", "
                + "\"lars\", \"muon\"; did you mean \"adamw\"?"
        ) { _ = try OptimizerConfiguration.Name("adamW", key: "[optimizer] name") }
        expect(
            "[scaling] rule = \"\": must be one of \"linear\", \"sqrt\", \"none\", \"power\", "
                + "\"adam-sde\", \"beta2-half-life\", \"noise-scale\", \"surge\", \"formula\"; write one of them"
        ) {
            _ = try ScalingConfiguration.Rule("", key: "[scaling] rule")
        }
        #expect(try ScheduleConfiguration.Name("wsd", key: "[schedule] name") == .wsd)
    }

    @Test("optimizer numbers out of range are refused")
    func optimizerNumbers() {
        let rates = "use 1e-4 to 1e-3 for a GPT of up to 1 billion parameters"
        for value in [-0.001, 0, 1e-300, 1e300, .nan, .infinity] {
            expect(
                "[optimizer] learning_rate = \(value): must be a number from 1.2e-38 to 3.4e38, "
                    + "which fp32 can hold; \(rates)"
            ) {
                try OptimizerConfiguration(learningRate: value).validate()
            }
        }
        for value in [-0.1, .nan, .infinity] {
            expect(
                "[optimizer] weight_decay = \(value): must be a finite number, 0 or more; use 0 for none, or "
                    + "0.1 as GPT-3 did"
            ) { try OptimizerConfiguration(weightDecay: value).validate() }
            expect(
                "[optimizer] clip_norm = \(value): must be a finite number, 0 or more; use 0 to clip "
                    + "nothing, or 1.0 as GPT-3 did"
            ) { try OptimizerConfiguration(clipNorm: value).validate() }
        }
        expect(
            "[optimizer] betas = [1.0, 0.95]: must be two numbers in [0, 1); use 0.9 for 1.0, or "
                + "another number below 1"
        ) { try OptimizerConfiguration(beta1: 1).validate() }
        expect(
            "[optimizer] betas = [0.9, -0.5]: must be two numbers in [0, 1); use 0.95 for -0.5, or "
                + "another number below 1"
        ) { try OptimizerConfiguration(beta2: -0.5).validate() }
        expect(
            "[optimizer] betas = [nan, 0.95]: must be two numbers in [0, 1); use 0.9 for nan, or "
                + "another number below 1"
        ) { try OptimizerConfiguration(beta1: .nan).validate() }
        for value in [0, -1e-8, 1e-46, .nan] {
            expect(
                "[optimizer] epsilon = \(value): must be at least 1.2e-38, because fp32 "
                    + "rounds smaller numbers to 0; use 1e-8"
            ) { try OptimizerConfiguration(epsilon: value).validate() }
        }
        expect("[optimizer] epsilon = 1e+40: must be a number that fp32 can hold; use 1e-8") {
            try OptimizerConfiguration(epsilon: 1e40).validate()
        }
    }

    @Test("impossible momentum and keys that need momentum are refused")
    func momentum() {
        expect(
            "[optimizer] momentum = 1.0: must be in [0, 1); use 0.9 or another number below 1"
        ) { try OptimizerConfiguration(name: .sgd, momentum: 1).validate() }
        expect("[optimizer] momentum = -0.9: must be in [0, 1); use 0 for none") {
            try OptimizerConfiguration(name: .sgd, momentum: -0.9).validate()
        }
        expect(
            "[optimizer] momentum = 0.9: does nothing with name = \"adamw\"; set betas instead, or "
                + "name = \"sgd\", \"lars\" or \"muon\""
        ) { try OptimizerConfiguration(momentum: 0.9).validate() }
        expect("[optimizer] dampening = 1.5: must be in [0, 1]; use 1 at most") {
            try OptimizerConfiguration(name: .sgd, momentum: 0.9, dampening: 1.5).validate()
        }
        expect("[optimizer] dampening = -1.0: must be in [0, 1]; use 0 for none") {
            try OptimizerConfiguration(name: .sgd, momentum: 0.9, dampening: -1).validate()
        }
        expect(
            "[optimizer] nesterov = true: needs momentum; set name = \"sgd\" and momentum = 0.9, or "
                + "nesterov = false"
        ) { try OptimizerConfiguration(name: .sgd, nesterov: true).validate() }
        expect(
            "[optimizer] dampening = 0.1: needs momentum; set name = \"sgd\" and momentum = 0.9, or "
                + "dampening = 0"
        ) { try OptimizerConfiguration(name: .sgd, dampening: 0.1).validate() }
        expect(
            "[optimizer] dampening = 0.1: contradicts nesterov = true; set dampening = 0, or "
                + "nesterov = false"
        ) {
            try OptimizerConfiguration(name: .sgd, momentum: 0.9, nesterov: true, dampening: 0.1)
                .validate()
        }
    }

    @Test("keys that Muon does not take, and its own with other optimizers, are refused")
    func muon() {
        expect(
            "[optimizer] dampening = 0.1: does nothing with name = \"muon\"; remove it, or set name = "
                + "\"sgd\" or \"lars\""
        ) { try OptimizerConfiguration(name: .muon, momentum: 0.9, dampening: 0.1).validate() }
        var configuration = OptimizerConfiguration(name: .adamw)
        configuration.adamLearningRate = 1e-3
        expect(
            "[optimizer] adam_learning_rate = 0.001: does nothing with name = \"adamw\"; remove it, or "
                + "set name = \"muon\""
        ) { [configuration] in try configuration.validate() }
        configuration = OptimizerConfiguration(name: .muon, momentum: 0.95)
        configuration.adamLearningRate = 0
        expect(
            "[optimizer] adam_learning_rate = 0.0: must be a number from 1.2e-38 to 3.4e38, which "
                + "fp32 can hold; use 1e-4 to 1e-3, or remove it for learning_rate"
        ) { [configuration] in try configuration.validate() }
    }

    @Test("impossible trust ratios, and settings that need complete tensors, are refused")
    func trustRatios() {
        for value in [0, -0.001, .nan, .infinity] {
            expect(
                "[optimizer] trust_coefficient = \(value): must be a finite number above 0; use 0.001"
            ) { try OptimizerConfiguration(name: .lars, trustCoefficient: value).validate() }
        }
        expect(
            "[optimizer] trust_coefficient = 0.02: does nothing with name = \"lamb\"; remove it, or "
                + "set name = \"lars\""
        ) { try OptimizerConfiguration(name: .lamb, trustCoefficient: 0.02).validate() }
        for name in ["lamb", "lars"] {
            expect(
                "[optimizer] sharded = true: leaves no rank the whole tensors whose norms name = "
                    + "\"\(name)\" needs; set sharded = false, or name = \"sgd\", \"adam\", \"adamw\" or "
                    + "\"muon\""
            ) {
                try OptimizerConfiguration(name: .init(name, key: "name"), sharded: true).validate()
            }
        }
        expect(
            "[optimizer] nesterov = true: needs momentum; set name = \"lars\" and momentum = 0.9, or "
                + "nesterov = false"
        ) { try OptimizerConfiguration(name: .lars, nesterov: true).validate() }
    }

    @Test("impossible scaling is refused")
    func scaling() {
        let resolve = { (scaling: ScalingConfiguration, batch: Int) throws in
            _ = try scaling.resolve(.init(learningRate: 1e-3), globalBatch: batch)
        }
        expect(
            "[scaling] base_batch = 0: must be a number of sequences, 1 or more; set the global batch "
                + "that learning_rate was chosen for"
        ) { try resolve(.init(baseBatch: 0), 12) }
        expect(
            "[training] global_batch = -3: must be a number of sequences, 1 or more; set the "
                + "sequences in one optimizer step, over all ranks"
        ) { try resolve(.init(), -3) }
        expect(
            "[scaling] exponent = 0.5: does nothing with rule = \"linear\"; remove it, or set rule "
                + "= \"power\""
        ) { try resolve(.init(exponent: 0.5), 12) }
        expect(
            "[scaling] exponent: is missing, but rule = \"power\" needs it; add exponent = 0.5 or "
                + "another number from 0 to 1"
        ) { try resolve(.init(rule: .power), 12) }
        expect("[scaling] exponent = nan: must be a finite number; use 0.5 or another from 0 to 1")
        {
            try resolve(.init(rule: .power, exponent: .nan), 12)
        }
        expect(
            "[scaling] exponent = 1000.0: turns learning_rate = 0.001 into inf at global_batch = 24 "
                + "with base_batch = 1; choose an exponent from 0 to 1"
        ) { try resolve(.init(rule: .power, exponent: 1000, baseBatch: 1), 24) }
    }
}
