import Compute
import Optimizers
import Recipes
import TestSupport
import Testing

/// The content of `scaling.json`.
struct ScalingGolden: Decodable {
    struct Rule: Decodable {
        let rule: String
        let name: String
        let baseBatch: Int
        let globalBatch: Int
        let exponent: Double?
        let noiseScale: Double?
        let noiseExponent: Double?
        let weightDecayRule: String
        let factor: Double
        let betas: [Double]
        let epsilon: Double
        let weightDecay: Double
    }

    struct Formula: Decodable {
        let text: String
        let value: Double
    }

    struct Steps: Decodable {
        let initial: [Float]
        let gradients: [[Float]]
        let parameters: [Float]
    }

    let rules: [Rule]
    let formulas: [Formula]
    let scaledSteps: Steps
}

/// Whether two numbers differ by a few roundings of double precision.
private func isNear(_ value: Double, _ expected: Double, roundings: Double = 8) -> Bool {
    abs(value - expected) <= roundings * 0x1p-53 * abs(expected)
}

/// Tests of batch scaling rules that are not powers.
@Suite struct ScalingRuleTests {
    @Test("every rule gives its paper's rate, betas, epsilon and weight decay")
    func papers() throws {
        let rules = try golden("scaling", as: ScalingGolden.self).rules
        #expect(rules.count == 20)
        for expected in rules {
            let optimizer = OptimizerConfiguration(
                name: try .init(expected.name, key: "name"), learningRate: 1e-3, epsilon: 1e-8,
                weightDecay: 0.1)
            let scaling = ScalingConfiguration(
                rule: try .init(expected.rule, key: "rule"), exponent: expected.exponent,
                baseBatch: expected.baseBatch, noiseScale: expected.noiseScale,
                noiseExponent: expected.noiseExponent,
                weightDecay: try .init(expected.weightDecayRule, key: "weight_decay"))
            let rate = try scaling.resolve(optimizer, globalBatch: expected.globalBatch)
            let title = "\(expected.rule) with \(expected.name) at \(expected.globalBatch)"
            #expect(isNear(rate.factor, expected.factor), "\(title)")
            #expect(rate.peakLearningRate == 1e-3 * rate.factor, "\(title)")
            #expect(rate.optimizer.learningRate == rate.peakLearningRate, "\(title)")
            // 1 - k (1 - beta) loses digits below the last digit of 1, and beta2^512 has 512
            // factors.
            #expect(abs(rate.optimizer.beta1 - expected.betas[0]) < 1e-15, "\(title)")
            #expect(abs(rate.optimizer.beta2 - expected.betas[1]) < 2e-15, "\(title)")
            #expect(isNear(rate.optimizer.epsilon, expected.epsilon), "\(title)")
            #expect(isNear(rate.optimizer.weightDecay, expected.weightDecay), "\(title)")
            #expect(rate.baseLearningRate == 1e-3 && rate.warmup == .steps)
            var others = rate.optimizer
            others.learningRate = optimizer.learningRate
            others.beta1 = optimizer.beta1
            others.beta2 = optimizer.beta2
            others.epsilon = optimizer.epsilon
            others.weightDecay = optimizer.weightDecay
            #expect(others == optimizer, "\(title)")
        }
    }

    @Test("at the base batch every rule changes no bit")
    func identity() throws {
        let awkward = OptimizerConfiguration(
            learningRate: 0.1 + 0.2, beta1: 0.1, beta2: 0.3, epsilon: 1e-9 / 3,
            weightDecay: 0.1 / 3)
        for scaling in [
            ScalingConfiguration(rule: .linear, weightDecay: .timescale),
            .init(rule: .sqrt, warmup: .tokens), .init(rule: .none), .init(rule: .adamSDE),
            .init(rule: .power, exponent: 1 / 3), .init(rule: .beta2HalfLife, exponent: 0.3),
            .init(rule: .noiseScale, noiseScale: 1 / 3, weightDecay: .timescale),
            .init(rule: .surge, noiseScale: 1 / 3), .init(rule: .formula, formula: "lr * k^0.3"),
        ] {
            let rate = try scaling.resolve(awkward, globalBatch: 7)
            #expect(rate.optimizer == awkward && rate.factor == 1, "\(scaling.rule)")
            let written = try ScheduleConfiguration(warmupSteps: 13)
                .resolve(rate, trainingSteps: 100)
            let plain = try ScheduleConfiguration(warmupSteps: 13)
                .resolve(
                    ScalingConfiguration(rule: .none).resolve(awkward, globalBatch: 7),
                    trainingSteps: 100)
            #expect(written == plain, "\(scaling.rule)")
        }
    }

    @Test("powers of the batch ratio change only the rate")
    func powers() throws {
        for rule in [ScalingConfiguration.Rule.linear, .sqrt, .none] {
            let rate = try ScalingConfiguration(rule: rule, baseBatch: 3)
                .resolve(.init(), globalBatch: 21)
            var optimizer = rate.optimizer
            optimizer.learningRate = OptimizerConfiguration().learningRate
            #expect(optimizer == .init())
        }
    }

    @Test("surge is highest at the batch of the noise scale")
    func surge() throws {
        let factors = try [64, 128, 256, 512, 1024].map { batch in
            try ScalingConfiguration(rule: .surge, baseBatch: 64, noiseScale: 256)
                .resolve(.init(), globalBatch: batch).factor
        }
        #expect(factors[0] == 1 && factors.max() == factors[2])
        // The factor is (2 + 1/2) / (1 + 1), with equal values on both sides of the peak.
        #expect(factors[2] == 1.25 && factors[4] == 1)
    }

    @Test(
        "with exponent 1 the noise-scale rule is linear far below the scale and constant far above")
    func noiseScale() throws {
        let scaling = ScalingConfiguration(
            rule: .noiseScale, baseBatch: 1, noiseScale: 1e9, noiseExponent: 1)
        let low = try scaling.resolve(.init(), globalBatch: 100)
        #expect(abs(low.factor - 100) < 1e-4)
        var high = scaling
        high.noiseScale = 1e-9
        #expect(try abs(high.resolve(.init(), globalBatch: 100).factor - 1) < 1e-8)
        #expect(low.exponent == nil)
    }

    @Test("a scaled configuration takes the steps of PyTorch's AdamW with the scaled values")
    func steps() throws {
        let expected = try golden("scaling", as: ScalingGolden.self).scaledSteps
        let rate = try ScalingConfiguration(
            rule: .adamSDE, baseBatch: 6, weightDecay: .timescale
        ).resolve(
            .init(learningRate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-3, weightDecay: 0.1),
            globalBatch: 24)
        var layout = ArenaLayout()
        layout.append("matrix", shape: [5, 7])
        let parameters = layout.arena(["matrix": expected.initial])
        var optimizer = Optimizer(configuration: rate.optimizer, layout: layout)
        for gradient in expected.gradients.map({ layout.arena(["matrix": $0]) }) {
            optimizer.beginStep(
                parameters: parameters, gradients: gradient, team: ThreadTeam(threads: 1))
            optimizer.update(
                parameters: parameters, gradients: gradient,
                learningRate: rate.peakLearningRate, range: 0..<layout.count)
        }
        // As in the comparison of updates with PyTorch, the operations and their order are the
        // same.
        #expect(relativeDistance(parameters.elements.prefix(35), expected.parameters) < 1e-7)
    }

    @Test("the steps of a warmup in tokens shrink as the batch grows and are never rounded to zero")
    func warmup() throws {
        for (base, global, written, steps) in [
            (8, 16, 100, 50), (8, 4, 100, 200), (8, 24, 100, 33), (8, 24, 101, 34),
            (8, 8, 100, 100),
            (8, 800, 10, 1), (8, 16, 0, 0), (8, 16, 1, 1),
        ] {
            let rate = try ScalingConfiguration(rule: .none, baseBatch: base, warmup: .tokens)
                .resolve(.init(learningRate: 1), globalBatch: global)
            let configuration = ScheduleConfiguration(name: .constant, warmupSteps: written)
            #expect(configuration.warmupSteps(trainingSteps: 500, at: rate) == steps)
            #expect(configuration.warmupSteps(trainingSteps: 500) == written)
            let schedule = try configuration.resolve(rate, trainingSteps: 500)
            #expect(schedule.learningRate(at: steps) == 1)
            if steps > 0 { #expect(schedule.learningRate(at: steps - 1) < 1) }
        }
        // An unset warmup is 2 % of the steps at the base batch and is scaled, too. A warmup that
        // grows past the training steps moves the step with the lowest rate.
        let rate = try ScalingConfiguration(rule: .none, baseBatch: 8, warmup: .tokens)
            .resolve(.init(), globalBatch: 2)
        #expect(ScheduleConfiguration().warmupSteps(trainingSteps: 500, at: rate) == 40)
        let long = ScheduleConfiguration(warmupSteps: 200)
        #expect(long.decaySteps(trainingSteps: 500, at: rate) == 801)
        _ = try long.resolve(rate, trainingSteps: 500)
        let endless = ScheduleConfiguration(name: .constant, warmupSteps: .max)
        #expect(endless.warmupSteps(trainingSteps: 500, at: rate) == 1 << 60)
    }
}
