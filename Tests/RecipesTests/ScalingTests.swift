import Recipes
import TestSupport
import Testing

/// Tests of batch scaling rules.
@Suite struct ScalingTests {
    @Test("the peak is the rate times the batch ratio to the rule's power")
    func rules() throws {
        for (rule, exponent, power, factor) in [
            (.linear, nil, 1, 8), (.sqrt, nil, 0.5, 2.8284271247461903), (.none, nil, 0, 1),
            (.power, 0.25, 0.25, 1.681792830507429), (.power, 1, 1, 8), (.power, -1, -1, 0.125),
        ] as [(ScalingConfiguration.Rule, Double?, Double, Double)] {
            let scaling = ScalingConfiguration(rule: rule, exponent: exponent, baseBatch: 12)
            let rate = try scaling.resolve(.init(learningRate: 1e-3), globalBatch: 96)
            #expect(rate.exponent == power)
            #expect(abs(rate.factor / factor - 1) < 1e-15)
            #expect(rate.peakLearningRate == 1e-3 * rate.factor)
            #expect(rate.baseLearningRate == 1e-3)
            #expect(rate.rule == rule && rate.baseBatch == 12 && rate.globalBatch == 96)
        }
    }

    @Test("linear is the default rule, and an unset base batch keeps the rate")
    func unset() throws {
        #expect(ScalingConfiguration().rule == .linear)
        let rate = try ScalingConfiguration().resolve(.init(learningRate: 1e-3), globalBatch: 96)
        #expect(rate.factor == 1 && rate.baseBatch == 96 && rate.peakLearningRate == 1e-3)
    }

    @Test("a smaller batch lowers the rate by the same rule")
    func smaller() throws {
        let rate = try ScalingConfiguration(baseBatch: 64)
            .resolve(.init(learningRate: 1e-3), globalBatch: 16)
        #expect(rate.factor == 0.25 && rate.peakLearningRate == 2.5e-4)
        #expect(rate.gradualStartFactor == 1)
    }

    @Test("the lowest rate is scaled too, so that the schedule keeps its shape")
    func shape() throws {
        for (name, minimum) in [
            (.cosine, 1e-4), (.cosine, nil), (.linear, 2e-4), (.wsd, 0),
        ] as [(ScheduleConfiguration.Name, Double?)] {
            let schedule = ScheduleConfiguration(name: name, minimumLearningRate: minimum)
            let rates = try [16, 64].map { batch in
                let rate = try ScalingConfiguration(baseBatch: 16)
                    .resolve(.init(learningRate: 1e-3), globalBatch: batch)
                return try schedule.resolve(rate, trainingSteps: 200)
            }
            for step in 0...220 {
                // A factor of four is exact.
                #expect(rates[1].learningRate(at: step) == 4 * rates[0].learningRate(at: step))
            }
        }
    }

    @Test("gradual warmup starts at the base rate and ends at the scaled one")
    func gradualWarmup() throws {
        let scaling = ScalingConfiguration(baseBatch: 16, gradualWarmup: true)
        let schedule = ScheduleConfiguration(name: .constant, warmupSteps: 10)
        let large = try schedule.resolve(
            scaling.resolve(.init(learningRate: 0.1), globalBatch: 128), trainingSteps: 100)
        #expect(large.learningRate(at: 0) == 0.1)
        #expect(abs(large.learningRate(at: 5) - 0.45) < 1e-15)
        #expect(large.learningRate(at: 10) == 0.8)
        let small = try schedule.resolve(
            scaling.resolve(.init(learningRate: 0.1), globalBatch: 8), trainingSteps: 100)
        #expect(small.learningRate(at: 0) == 0.05)
        #expect(small.learningRate(at: 10) == 0.05)
    }
}
