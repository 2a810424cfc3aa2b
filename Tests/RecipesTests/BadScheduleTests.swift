import Recipes
import Support
import TestSupport
import Testing

/// Tests of impossible schedules.
@Suite struct BadScheduleTests {
    /// Expects a `.configuration` failure with this sentence from a run of 100 steps.
    private func expect(
        _ sentence: String, _ schedule: ScheduleConfiguration, gradualWarmup: Bool = false,
        trainingSteps: Int = 100, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(
            throws: Failure(.configuration, sentence + (sentence.hasSuffix("?") ? "" : ".")),
            sourceLocation: sourceLocation
        ) {
            let rate = try ScalingConfiguration(baseBatch: 8, gradualWarmup: gradualWarmup)
                .resolve(.init(learningRate: 1e-3), globalBatch: 16)
            _ = try schedule.resolve(rate, trainingSteps: trainingSteps)
        }
    }

    @Test("impossible numbers of steps are refused")
    func steps() {
        expect(
            "[training] steps = 0: must be 1 or more; set the number of steps", .init(),
            trainingSteps: 0)
        expect(
            "[schedule] warmup_steps = -1: must be a number, 0 or more; use 0 for no warmup",
            .init(warmupSteps: -1))
        expect(
            "[schedule] decay_steps = 0: must be 1 or more; use 100, the training steps, or "
                + "leave it out", .init(decaySteps: 0))
        expect(
            "[schedule] warmup_steps = 50: must be below decay_steps = 50; use 49 at most, so that "
                + "the rate can fall after it has risen", .init(warmupSteps: 50, decaySteps: 50))
        expect(
            "[schedule] stable_steps = 90: must be in [0, 90); use 89 at most, because "
                + "warmup_steps = 10 and decay_steps = 100 leave no room for more",
            .init(name: .wsd, warmupSteps: 10, stableSteps: 90))
        expect(
            "[schedule] stable_steps = -1: must be in [0, 98); use 0 or more",
            .init(name: .wsd, stableSteps: -1))
        expect(
            "[schedule] stable_steps = 5: does nothing with name = \"cosine\"; remove it, or set "
                + "name = \"wsd\"", .init(stableSteps: 5))
    }

    @Test("impossible rates are refused")
    func rates() {
        for (value, instead) in [(-1e-4, "use 0, or "), (2e-3, ""), (.nan, "")] {
            expect(
                "[schedule] minimum_learning_rate = \(value): must be in [0, learning_rate = 0.001]; "
                    + "\(instead)leave it out for a tenth of the learning rate",
                .init(minimumLearningRate: value))
        }
        for (value, instead) in [(-0.5, 0), (1.5, 1), (.nan, 0)] {
            expect(
                "[schedule] warmup_start_factor = \(value): must be in [0, 1]; use \(instead)",
                .init(warmupStartFactor: value))
        }
    }

    @Test("warmup settings that contradict one another are refused")
    func warmups() {
        expect(
            "[schedule] warmup_start_factor = 0.1: does nothing with warmup = \"nanogpt\"; remove "
                + "it, or set warmup = \"linear\"", .init(warmup: .nanogpt, warmupStartFactor: 0.1))
        expect(
            "[schedule] warmup_start_factor = 0.1: contradicts gradual_warmup = true, which starts "
                + "from the base rate; remove it, or set gradual_warmup = false",
            .init(warmupStartFactor: 0.1), gradualWarmup: true)
        expect(
            "[scaling] gradual_warmup = true: needs a linear warmup; set warmup = \"linear\" in "
                + "[schedule], or gradual_warmup = false", .init(warmup: .nanogpt),
            gradualWarmup: true)
        expect(
            "[scaling] gradual_warmup = true: needs steps to warm up in; set warmup_steps in "
                + "[schedule] to 1 or more, or gradual_warmup = false", .init(warmupSteps: 0),
            gradualWarmup: true)
    }

    @Test("impossible sequences are refused")
    func sequences() {
        expect(
            "[schedule] name = \"sequence\": has no parts; add [[schedule.parts]] with name, steps, "
                + "start_factor and end_factor", .init(name: .sequence))
        expect(
            "[schedule] name = \"constant\": leaves out the [[schedule.parts]]; set name = "
                + "\"sequence\", or remove them",
            .init(name: .constant, parts: [.init(name: .constant)]))
        let sayItWithParts =
            "does nothing with name = \"sequence\"; remove it, and say the same with "
            + "[[schedule.parts]]"
        let parts = [ScheduleConfiguration.PartConfiguration(name: .constant)]
        expect(
            "[schedule] warmup_steps = 5: \(sayItWithParts)",
            .init(name: .sequence, warmupSteps: 5, parts: parts))
        expect(
            "[schedule] minimum_learning_rate = 0.0: \(sayItWithParts)",
            .init(name: .sequence, minimumLearningRate: 0, parts: parts))
        expect(
            "[scaling] gradual_warmup = true: \(sayItWithParts)",
            .init(name: .sequence, parts: parts), gradualWarmup: true)
    }

    @Test("impossible parts are refused")
    func parts() {
        let first = ScheduleConfiguration.PartConfiguration(name: .constant, steps: 10)
        let part = { (part: ScheduleConfiguration.PartConfiguration) in
            ScheduleConfiguration(name: .sequence, parts: [first, part])
        }
        expect(
            "[[schedule.parts]] 1: steps: is missing, but only the last part may omit it; set the "
                + "number of steps that this part lasts",
            .init(name: .sequence, parts: [.init(name: .constant), first]))
        expect(
            "[[schedule.parts]] 2: steps = 0: must be 1 or more; use 1, or remove the part",
            part(.init(name: .constant, steps: 0)))
        expect(
            "[[schedule.parts]] 2: start_factor = -1.0: must be a finite number, 0 or more; use 0 for no "
                + "rate or 1 for the peak", part(.init(name: .constant, steps: 5, startFactor: -1)))
        expect(
            "[[schedule.parts]] 2: end_factor = inf: must be a finite number, 0 or more; use 0 for no rate "
                + "or 1 for the peak", part(.init(name: .cosine, steps: 5, endFactor: .infinity)))
        expect(
            "[[schedule.parts]] 2: end_factor: is missing, but name = \"linear\" needs it; add the "
                + "part of the peak rate that it ends at, such as 0.1",
            part(.init(name: .linear, steps: 5)))
        expect(
            "[[schedule.parts]] 2: end_factor = 0.1: does nothing with name = \"constant\"; remove "
                + "it, or set name = \"linear\"",
            part(.init(name: .constant, steps: 5, endFactor: 0.1)))
    }
}
