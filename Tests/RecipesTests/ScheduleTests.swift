import Recipes
import TestSupport
import Testing

/// Tests of schedules compared with PyTorch, transformers and nanoGPT.
@Suite struct ScheduleTests {
    private static let peak = 6e-4

    /// Returns a peak rate without scaling.
    private static func rate(_ learningRate: Double = peak) throws -> BatchScaling {
        try ScalingConfiguration().resolve(.init(learningRate: learningRate), globalBatch: 12)
    }

    /// Compares every step with a golden list.
    ///
    /// The tolerance is relative to the expected rate and to the peak's last bits if a rate goes to
    /// zero: PyTorch's recursions carry their rounding from step to step.
    private func compare(_ schedule: Schedule, _ title: String, count: Int) throws {
        let rates = try #require(try golden("schedules", as: [String: [Double]].self)[title])
        #expect(rates.count == count)
        for (step, expected) in rates.enumerated() {
            let tolerance = 1e-12 * expected + 1e-17 * Self.peak
            let difference = abs(schedule.learningRate(at: step) - expected)
            #expect(difference <= tolerance, "\(title), step \(step)")
        }
    }

    @Test("a straight line equals LinearLR")
    func linear() throws {
        try compare(
            .change(.linear, from: Self.peak / 3, to: Self.peak * 0.9, steps: 37), "LinearLR",
            count: 50)
    }

    @Test("a cosine equals CosineAnnealingLR from step 0 to its last step")
    func cosine() throws {
        try compare(
            .change(.cosine, from: Self.peak, to: 6e-5, steps: 53), "CosineAnnealingLR", count: 54)
        try compare(
            .change(.cosine, from: Self.peak, to: 0, steps: 53), "CosineAnnealingLR to 0", count: 54
        )
    }

    @Test("a recipe's parts equal SequentialLR")
    func sequence() throws {
        let configuration = ScheduleConfiguration(
            name: .sequence,
            parts: [
                .init(name: .linear, steps: 9, startFactor: 0.1, endFactor: 1),
                .init(name: .constant, steps: 7),
                .init(name: .cosine, steps: 21, endFactor: 0.25),
                .init(name: .linear, steps: 13, endFactor: 0.05),
            ])
        let schedule = try configuration.resolve(Self.rate(), trainingSteps: 50)
        try compare(schedule, "SequentialLR", count: 60)
        #expect(configuration.warmupSteps(trainingSteps: 50) == 0)
    }

    @Test("the last part without steps takes the rest of the run")
    func lastPart() throws {
        let configuration = ScheduleConfiguration(
            name: .sequence,
            parts: [.init(name: .constant, steps: 10), .init(name: .linear, endFactor: 0)])
        let schedule = try configuration.resolve(Self.rate(), trainingSteps: 30)
        #expect(schedule.learningRate(at: 9) == Self.peak)
        #expect(schedule.learningRate(at: 10) == Self.peak)
        #expect(schedule.learningRate(at: 20) == Self.peak / 2)
        #expect(schedule.learningRate(at: 30) == 0)
    }

    @Test("cosine, linear and constant with warmup equal those of transformers")
    func huggingFace() throws {
        for (name, title, count) in [
            (.cosine, "get_cosine_schedule_with_warmup", 62),
            (.linear, "get_linear_schedule_with_warmup", 70),
            (.constant, "get_constant_schedule_with_warmup", 20),
        ] as [(ScheduleConfiguration.Name, String, Int)] {
            let configuration = ScheduleConfiguration(
                name: name, warmupSteps: 7, minimumLearningRate: 0)
            try compare(configuration.resolve(Self.rate(), trainingSteps: 61), title, count: count)
        }
    }

    @Test("warmup, stable, decay equals that of transformers in its three shapes")
    func warmupStableDecay() throws {
        for (decay, title) in [
            (.linear, "linear"), (.cosine, "cosine"), (.sqrt, "1-sqrt"),
        ] as [(Schedule.Shape, String)] {
            let configuration = ScheduleConfiguration(
                name: .wsd, warmupSteps: 7, warmupStartFactor: 0.1, stableSteps: 24,
                minimumLearningRate: 6e-5, decay: decay)
            try compare(
                configuration.resolve(Self.rate(), trainingSteps: 61), "get_wsd_schedule \(title)",
                count: 70)
        }
    }

    @Test("nanoGPT's recipe has nanoGPT's rates")
    func nanoGPT() throws {
        let configuration = ScheduleConfiguration(
            name: .cosine, warmup: .nanogpt, warmupSteps: 100, decaySteps: 2000,
            minimumLearningRate: 1e-4)
        let schedule = try configuration.resolve(Self.rate(1e-3), trainingSteps: 2000)
        let rates = try #require(try golden("schedules", as: [String: [Double]].self)["nanoGPT"])
        #expect(rates.count == 300)
        for (index, expected) in rates.enumerated() {
            let rate = schedule.learningRate(at: 7 * index)
            // The cosine is that of the C library, whose last bit may differ between machines.
            #expect(abs(rate - expected) <= 2 * expected.ulp, "step \(7 * index)")
        }
        #expect(schedule.learningRate(at: 0) == 1e-3 / 101)
        #expect(schedule.learningRate(at: 100) == 1e-3)
    }

    @Test("an unset schedule warms up over 2 % of the steps and falls along a cosine to a tenth")
    func unsetSchedule() throws {
        let configuration = ScheduleConfiguration()
        let schedule = try configuration.resolve(Self.rate(), trainingSteps: 1000)
        #expect(configuration.warmupSteps(trainingSteps: 1000) == 20)
        #expect(
            schedule
                == .sequence([
                    .init(.change(.linear, from: 0, to: Self.peak, steps: 20), steps: 20),
                    .init(
                        .change(.cosine, from: Self.peak, to: Self.peak / 10, steps: 980),
                        steps: 980),
                ]))
        #expect(schedule.learningRate(at: 10) == Self.peak / 2)
        #expect(abs(schedule.learningRate(at: 20) / Self.peak - 1) < 1e-15)
        let middle = schedule.learningRate(at: 510)
        #expect(abs(middle / (Self.peak * 0.55) - 1) < 1e-12)
        #expect(schedule.learningRate(at: 1000) == Self.peak / 10)
    }

    @Test("a run that is too short for 2 % has no warmup")
    func shortRun() throws {
        let schedule = try ScheduleConfiguration().resolve(Self.rate(), trainingSteps: 1)
        #expect(abs(schedule.learningRate(at: 0) / Self.peak - 1) < 1e-15)
        #expect(schedule.learningRate(at: 1) == Self.peak / 10)
    }

    @Test("a trial of a long recipe ends within its warmup", arguments: [10, 100, 101])
    func trial(steps: Int) throws {
        let configuration = ScheduleConfiguration(warmupSteps: 100)
        let short = try configuration.resolve(Self.rate(), trainingSteps: steps)
        let long = try configuration.resolve(Self.rate(), trainingSteps: 5000)
        for step in 0..<min(steps, 101) {
            #expect(short.learningRate(at: step) == long.learningRate(at: step))
        }
    }

    @Test("wsd decays over the last fifth if its decay is unset")
    func unsetStableDecay() throws {
        let schedule = try ScheduleConfiguration(name: .wsd)
            .resolve(Self.rate(), trainingSteps: 1000)
        #expect(schedule.learningRate(at: 20) == Self.peak)
        #expect(schedule.learningRate(at: 800) == Self.peak)
        #expect(schedule.learningRate(at: 801) < Self.peak)
        #expect(schedule.learningRate(at: 1000) == Self.peak / 10)
    }

    @Test("rates stay at the lowest after the end")
    func afterTheEnd() throws {
        let shapes: [Schedule] = [
            .change(.linear, from: 1, to: 0.25, steps: 9),
            .change(.cosine, from: 1, to: 0.25, steps: 9),
            .change(.sqrt, from: 1, to: 0.25, steps: 9),
            .sequence([
                .init(.constant(1), steps: 3),
                .init(.change(.cosine, from: 1, to: 0.25, steps: 6), steps: 6),
            ]),
        ]
        for shape in shapes {
            #expect(shape.learningRate(at: 8) > 0.25)
            for step in [9, 10, 18, 27, 1_000_000] {
                #expect(shape.learningRate(at: step) == 0.25)
            }
        }
    }

    @Test("no shape leaves the interval between its ends or turns back")
    func monotone() {
        let shapes: [Schedule] = [
            .change(.linear, from: 1, to: 0, steps: 1000),
            .change(.cosine, from: 1, to: 0, steps: 1000),
            .change(.sqrt, from: 1, to: 0, steps: 1000),
        ]
        for shape in shapes {
            #expect(shape.learningRate(at: 0) == 1)
            for step in 0..<1000 {
                #expect(shape.learningRate(at: step) > shape.learningRate(at: step + 1))
            }
            #expect(shape.learningRate(at: 1000) == 0)
        }
    }
}
