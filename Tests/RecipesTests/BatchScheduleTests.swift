import Recipes
import Support
import TestSupport
import Testing

/// Tests of batches that change during a run.
@Suite struct BatchScheduleTests {
    /// Eight tokens in a sequence.
    private let toml = """
        [model]
        context_length = 8
        [training]
        steps = 12
        global_batch = 8
        batch_schedule = [{ after_steps = 3, batch = 16 }, { after_tokens = 1000, batch = 48 }]
        [optimizer]
        learning_rate = 1e-3
        [schedule]
        name = "linear"
        warmup_steps = 2
        minimum_learning_rate = 0
        """

    /// 3 steps of 8 sequences are 192 tokens; each of the next ones has 128 tokens, so the seventh
    /// of them reaches 1000 tokens.
    @Test("each step has the batch, the samples and the tokens of its stage")
    func stages() throws {
        let plan = try TrainingPlan(recipe(toml), ranks: 1)
        let batches = Array(repeating: 8, count: 3) + Array(repeating: 16, count: 7) + [48, 48]
        #expect(plan.stages.map(\.firstStep) == [0, 3, 10])
        var samples = 0
        for (step, batch) in batches.enumerated() {
            #expect(plan.stage(after: step).lanes.globalBatch == batch, "step \(step)")
            #expect(plan.samples(after: step) == samples, "step \(step)")
            #expect(plan.tokens(after: step) == 8 * samples, "step \(step)")
            samples += batch
        }
        #expect(plan.tokens(after: 12) == 8 * samples)
        #expect(plan.tokensPerStep == 64)
    }

    @Test(
        "the rate is that of the schedule, scaled to the batch of the step by the rule",
        arguments: [
            ("linear", 2.0, 6.0), ("sqrt", 2.0.squareRoot(), 6.0.squareRoot()), ("none", 1, 1),
        ])
    func rates(rule: String, second: Double, third: Double) throws {
        let plan = try TrainingPlan(recipe(toml, set: "scaling.rule=\(rule)"), ranks: 1)
        let plain = try TrainingPlan(
            recipe(toml, set: "training.batch_schedule=[]", "scaling.rule=\(rule)"), ranks: 1)
        for step in 0..<12 {
            let factor = step < 3 ? 1 : step < 10 ? second : third
            let expected = factor * plain.learningRate(after: step)
            let rate = plan.learningRate(after: step)
            #expect(abs(rate - expected) <= 1e-15 * expected, "step \(step)")
            if step < 3 { #expect(rate == expected) }
        }
        #expect(plan.learningRate(after: 2) == 1e-3)
    }

    @Test("the timescale of the weight decay is kept at each batch")
    func weightDecay() throws {
        let plan = try TrainingPlan(
            recipe(toml, set: "scaling.rule=sqrt", "scaling.weight_decay=timescale"), ranks: 1)
        let decays = plan.stages.map(\.rate.optimizer.weightDecay)
        #expect(decays[0] == 0.1)
        // B / (rate * decay) is constant, so the decay grows by the root of the batch's ratio.
        #expect(abs(decays[1] - 0.1 * 2.0.squareRoot()) < 1e-15)
        #expect(abs(decays[2] - 0.1 * 6.0.squareRoot()) < 1e-15)
    }

    @Test("unset lanes and micro-batches suit all batches, and the stored recipe states them")
    func lanes() throws {
        let plan = try TrainingPlan(recipe(toml), ranks: 2)
        #expect(plan.stages.allSatisfy { $0.lanes.laneCount == 8 && $0.lanes.microBatch == 1 })
        #expect(plan.stages.map(\.lanes.microBatchesPerLane) == [1, 2, 6])
        #expect(plan.recipe.reduction.lanes == 8 && plan.recipe.training.microBatch == 1)
        let stored = try recipe(plan.recipe.toml)
        #expect(stored == plan.recipe)
        #expect(
            stored.training.batchSchedule == [
                .init(batch: 16, afterSteps: 3), .init(batch: 48, afterTokens: 1000),
            ])
        let even = try TrainingPlan(
            recipe(
                toml, set: "training.global_batch=24",
                "training.batch_schedule=[{ after_steps = 4, batch = 60 }]"), ranks: 3)
        // 12 divides both batches, and so does a lane of 2 and of 5 sequences by 1.
        #expect(even.stages.map(\.lanes.laneCount) == [12, 12] && even.lanes.microBatch == 1)
        let wide = try TrainingPlan(
            recipe(
                toml, set: "training.global_batch=32", "reduction.lanes=8",
                "training.batch_schedule=[{ after_steps = 4, batch = 64 }]"), ranks: 3)
        #expect(
            wide.stages.map(\.lanes.microBatchesPerLane) == [1, 2] && wide.lanes.microBatch == 4)
        #expect(!(try recipe("").toml.contains("batch_schedule")))
    }

    @Test(
        "schedules that cannot be followed are refused with the remedy",
        arguments: [
            (
                ["training.batch_schedule=[{ after_steps = 3, batch = 20 }]", "reduction.lanes=8"],
                [
                    "[training] batch_schedule 1: batch = 20: cannot be divided into 8 lanes with "
                        + "micro-batches of 1; use 16 or 24, or set [reduction] lanes to a divisor of 4"
                ]
            ),
            (
                [
                    "training.batch_schedule=[{ after_steps = 3, batch = 24 }]",
                    "training.global_batch=16", "training.micro_batch=2", "reduction.lanes=8",
                ],
                [
                    "batch_schedule 1: batch = 24: cannot be divided into 8 lanes with micro-batches of "
                        + "2; use 16 or 32, or set micro_batch to 1"
                ]
            ),
            (
                [
                    "training.batch_schedule=[{ after_steps = 3, batch = 16 }, { after_tokens = 64, batch = 24 }]"
                ],
                [
                    "batch_schedule 2: batch = 24: begins after 3 steps, but the batch before it begins "
                        + "after 3; order the changes by their steps"
                ]
            ),
            (
                ["training.batch_schedule=[{ batch = 16 }]"],
                ["batch_schedule 1: batch = 16: has neither after_steps nor after_tokens; give one"]
            ),
            (
                ["training.batch_schedule=[{ after_steps = 1, after_tokens = 9, batch = 16 }]"],
                ["has both after_steps and after_tokens; give one of them"]
            ),
            (
                ["training.batch_schedule=[{ after_steps = 0, batch = 16 }]"],
                [
                    "after_steps = 0: must be from 1 to 1000000000; set global_batch for the batch of the"
                ]
            ),
            (
                ["training.batch_schedule=[{ after_steps = 3, batch = 0 }]"],
                ["batch_schedule 1: batch = 0: must be from 1 to 1000000000"]
            ),
            (
                ["training.batch_schedule=[{ after_step = 3, batch = 16 }]"],
                [
                    "batch_schedule 1: has the unknown key \"after_step\"; did you mean \"after_steps\"?"
                ]
            ),
            (["training.batch_schedule=[{ after_steps = 3 }]"], ["has no batch; add one"]),
            (["training.batch_schedule=64"], ["batch_schedule = 64: must be a list of tables"]),
            (
                ["scaling.rule=adam-sde"],
                ["[scaling] rule = \"adam-sde\": scales betas, which cannot change during a run"]
            ),
        ] as [([String], [String])])
    func refusals(settings: [String], words: [String]) {
        expectFailure(.configuration, words) { () throws(Failure) in
            _ = try TrainingPlan(
                try Recipe(toml: toml, name: "test.toml", overrides: settings), ranks: 1)
        }
    }

    @Test("more ranks than lanes that suit all batches are refused")
    func tooManyRanks() {
        expectFailure(
            .configuration,
            ["9 ranks: are more than the 8 lanes into which all of the batches 8, 16 and 48 can be"]
        ) { () throws(Failure) in _ = try TrainingPlan(try recipe(toml), ranks: 9) }
    }

    @Test("commands other than train refuse a schedule")
    func oneBatch() throws {
        try recipe("").requireOneBatch()
        expectFailure(.configuration, ["batch_schedule", "is followed only by `lockstep train`"]) {
            () throws(Failure) in try recipe(toml).requireOneBatch()
        }
    }
}
