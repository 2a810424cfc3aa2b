import Experiments
import Recipes
import Support
import Testing

/// Tests of probes of a learning rate.
@Suite struct RateProbeTests {
    @Test("the rate rises over a tenth of the steps and then stays")
    func rates() {
        var probe = RateProbe(rate: 0.5, steps: 40)
        var rates: [Double] = []
        while let rate = probe.nextRate {
            rates.append(rate)
            probe.add(3, isFinite: true)
        }
        #expect(rates == [0.125, 0.25, 0.375] + Array(repeating: 0.5, count: 37))
    }

    @Test("after its warmup, a probe has the same fractions of the peak rate as the recipe's run")
    func decay() throws {
        var recipe = Recipe()
        recipe.training.steps = 1000
        recipe.schedule.warmupSteps = 100
        (recipe.optimizer.learningRate, recipe.schedule.minimumLearningRate) = (0.3, 0.06)
        let plan = try TrainingPlan(recipe, ranks: 1)
        var probe = RateProbe(rate: 2, steps: 20, decay: RateDecay(plan))
        var rates: [Double] = []
        while let rate = probe.nextRate {
            rates.append(rate)
            probe.add(3, isFinite: true)
        }
        // Each step of the probe stands for 50 steps of the run after the warmup.
        let expected =
            [1, 2]
            + stride(from: 100, to: 1000, by: 50).map {
                2 * plan.schedule.learningRate(at: $0) / plan.rate.peakLearningRate
            }
        #expect(zip(rates, expected).allSatisfy { abs($0 - $1) < 1e-12 } && rates.count == 20)
    }

    @Test("the mean of the last quarter counts, and that of the quarter before is known")
    func loss() {
        var probe = RateProbe(rate: 1, steps: 20)
        for loss in 1...20 { probe.add(20 - Double(loss), isFinite: true) }
        #expect(probe.loss == 2 && !probe.hasDiverged)
        #expect(probe.earlierLoss == 7)
    }

    @Test(
        "a loss that is not finite, a gradient that is not, or a doubled loss ends the probe",
        arguments: [(Double.nan, true), (.infinity, true), (3, false), (6.001, true)])
    func divergence(loss: Double, isFinite: Bool) {
        var probe = RateProbe(rate: 1, steps: 20)
        for loss in [3.0, 6, 2] { probe.add(loss, isFinite: true) }
        #expect(!probe.hasDiverged && probe.nextRate != nil)
        probe.add(loss, isFinite: isFinite)
        #expect(probe.hasDiverged && probe.nextRate == nil)
        #expect(probe.loss == .infinity && probe.losses.count == 4)
    }

    @Test("the noise is that of the differences, not of the batches")
    func noise() {
        var (one, other) = (RateProbe(rate: 1, steps: 20), RateProbe(rate: 2, steps: 20))
        for step in 0..<20 {
            let batch = Double(step % 3)
            one.add(3 + batch, isFinite: true)
            other.add(3.5 + batch + (step % 2 == 0 ? 0.1 : -0.1), isFinite: true)
        }
        // Three differences of -0.4 and two of -0.6, or the reverse, have a variance of 0.012.
        #expect(abs(one.noise(comparedWith: other) - (0.012 / 5).squareRoot()) < 1e-12)
        #expect(one.noise(comparedWith: one) == 0)
    }

    @Test("impossible lengths are refused", arguments: [-1, 0, 19, 1_000_001])
    func lengths(steps: Int) throws {
        try RateProbe.requireSteps(20)
        let failure = #expect(throws: Failure.self) { try RateProbe.requireSteps(steps) }
        #expect(failure?.code == .usage)
        #expect(failure?.sentence.hasPrefix("--probe-steps \(steps): must be from 20") == true)
    }
}
