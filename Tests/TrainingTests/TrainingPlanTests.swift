import Recipes
import Support
import TestSupport
import Testing
import Training

/// Tests of the values that a plan chooses and of its summary.
@Suite struct TrainingPlanTests {
    private let toml = """
        [model]
        layers = 1
        heads = 2
        width = 16
        context_length = 8
        vocabulary_size = 50
        [training]
        steps = 1000
        global_batch = 24
        micro_batch = 1
        [optimizer]
        learning_rate = 1e-3
        [scaling]
        base_batch = 12
        [reduction]
        lanes = 8
        [evaluation]
        every = 250
        """

    private func facts(ranks: Int) -> Facts {
        Facts(
            ranks: ranks, threads: 2, hosts: 1, runPath: "runs/a b", trainingTokens: 10_000,
            validationTargets: 999, validationTokens: 1000,
            decayedTensors: ["wte.weight", "h.0.attn.c_attn.weight", "h.1.attn.c_attn.weight"],
            tensorCount: 16,
            memory: MemoryPlan(
                parts: [.init("parameters", 1024), .init("gradients", 2048)], hostBytes: 5120))
    }

    @Test("unset keys get their values")
    func unsetKeysGetTheirValues() throws {
        let plan = try TrainingPlan(
            recipe(
                "[training]\nsteps = 100\nglobal_batch = 24\n[optimizer]\nlearning_rate = 0.5"),
            ranks: 1)
        #expect(plan.recipe.reduction.lanes == 8)
        #expect(plan.recipe.training.microBatch == 3)
        #expect(plan.recipe.scaling.baseBatch == 24)
        #expect(plan.recipe.schedule.warmupSteps == 2)
        #expect(plan.recipe.schedule.decaySteps == 100)
        #expect(plan.recipe.schedule.minimumLearningRate == 0.05)
        #expect(plan.tokensPerStep == 24 * 64)
        #expect(plan.learningRate(after: 2) == 0.5)
        #expect(abs(plan.learningRate(after: 100) - 0.05) < 1e-15)
    }

    @Test("a copy of the state is planned if checkpoints are due before the end")
    func copyOfTheState() throws {
        func bytes(_ settings: String...) throws -> Int {
            let settings = ["checkpoint.every=0", "checkpoint.best=false"] + settings
            return try TrainingPlan(
                try Recipe(toml: toml, name: "recipe", overrides: settings), ranks: 2
            )
            .copyBytes(elements: 100)
        }
        #expect(try bytes() == 0)
        #expect(try bytes("checkpoint.every=1000") == 0, "only after the last step")
        // The parameters and AdamW's two moments.
        #expect(try bytes("checkpoint.every=999") == 1200)
        #expect(try bytes("checkpoint.every=999", "checkpoint.background=false") == 0)
        #expect(try bytes("checkpoint.every=999", "training.averaging_power=4") == 1600)
        #expect(try bytes("checkpoint.every=999", "optimizer.name=sgd") == 400)
        #expect(try bytes("checkpoint.best=true") == 1200)
        #expect(try bytes("checkpoint.best=true", "evaluation.every=0") == 0)
        #expect(
            try bytes("checkpoint.best=true", "evaluation.every=0", "evaluation.at=[0, 5]") == 1200)
    }

    @Test("a copy of the state that does not fit into memory is refused with the reason")
    func tooLittleMemoryForACopy() {
        func notice(_ copyBytes: Int) -> String? {
            TrainingPlan.copyNotice(
                copyBytes: copyBytes, besides: 3 << 30, machineBytes: 4 << 30)
        }
        #expect(notice(0) == nil && notice(1 << 30) == nil)
        #expect(notice(2 << 30)?.contains("2.0 GiB more memory") == true)
    }

    /// The longer recipe states every value that the plan chose.
    @Test(
        "more steps or other ranks do not change the rates of earlier steps",
        arguments: ["cosine", "linear", "wsd", "constant"])
    func moreStepsDoNotChangeEarlierRates(schedule: String) throws {
        let plan = try TrainingPlan(
            recipe("[training]\nsteps = 100", set: "schedule.name=\(schedule)"), ranks: 2)
        var longer = plan.recipe
        longer.training.steps = 150
        let other = try TrainingPlan(longer, ranks: 3)
        for step in 0..<100 {
            #expect(other.learningRate(after: step) == plan.learningRate(after: step))
        }
    }

    /// The last part of a sequence ends at the same step.
    @Test("more steps do not stretch a sequence")
    func moreStepsDoNotStretchASequence() throws {
        let plan = try TrainingPlan(
            recipe(
                "[training]\nsteps = 100", set: "schedule.name=sequence",
                "schedule.parts=[{ name = \"constant\", steps = 40 }, "
                    + "{ name = \"cosine\", end_factor = 0.1 }]"), ranks: 1)
        #expect(plan.recipe.schedule.parts.last?.steps == 60)
        var longer = plan.recipe
        longer.training.steps = 150
        let other = try TrainingPlan(longer, ranks: 1)
        for step in 0..<100 {
            #expect(other.learningRate(after: step) == plan.learningRate(after: step))
        }
        #expect(abs(other.learningRate(after: 149) - 3e-5) < 1e-15)
    }

    @Test("memory is listed by use, and per host if it has several ranks")
    func memoryIsListedByUse() throws {
        let plan = try TrainingPlan(recipe(toml), ranks: 2)
        let parts = "parameters 1.0 KiB, gradients 2.0 KiB"
        #expect(plan.summary(facts(ranks: 1)).contains("  3.0 KiB a rank: \(parts)"))
        #expect(
            plan.summary(facts(ranks: 2)).contains("3.0 KiB a rank, 5.0 KiB a host: \(parts)"))
    }

    /// A rank needs one arena of gradients for each partial sum that its lanes leave open: 4 for 8
    /// lanes, 3 for 4 lanes, and 2 for 2 or 3 lanes. Each rank has room for the most lanes that can
    /// move to it.
    @Test(
        "the least memory includes partial sums",
        arguments: [
            (1, [4], 8), (2, [3, 3], 7), (4, [2, 2, 2, 2], 4), (3, [2, 2, 2], 6),
            (8, [1, 1, 1, 1, 1, 1, 1, 1], 1),
        ])
    func leastMemoryIncludesPartialSums(ranks: Int, arenas: [Int], mostLanes: Int) throws {
        for sharded in [false, true] {
            let plan = try TrainingPlan(
                recipe(toml, set: "optimizer.sharded=\(sharded)"), ranks: ranks)
            let moments = 2 / Double(sharded ? ranks : 1)
            for (rank, gradients) in arenas.enumerated() {
                let expected = plan.recipe.model.leastTrainingBytes(
                    arenas: Double(gradients) + moments, tokens: 8, recomputes: false)
                // Each lane has three numbers, in every rank's message and once more for all lanes.
                // A message also has the rank's requests, 8 bytes, and its load, 24.
                let message = 8 + 24 + mostLanes * 24
                let lanes =
                    message * (ranks + 1) + 8 * 24 + ranks * (8 + 24) + mostLanes * (24 + 16)
                #expect(
                    plan.leastBytes(ofRank: rank, size: ranks) == expected + Double(lanes),
                    "rank \(rank)")
            }
        }
    }

    @Test("the largest micro-batch that fits is chosen, and the recipe states it")
    func fittingMicroBatch() throws {
        let plan = try TrainingPlan(
            recipe(toml, set: "training.global_batch=96", "training.micro_batch=0"), ranks: 1)
        #expect(plan.lanes.microBatch == 12)
        func bytes(_ microBatch: Int) throws -> Double {
            try TrainingPlan(
                recipe(
                    toml, set: "training.global_batch=96", "training.micro_batch=\(microBatch)"),
                ranks: 1
            ).leastBytes(ofRank: 0, size: 1)
        }
        for (room, expected) in [(12, 6), (6, 6), (5, 4), (1, 1), (0, nil)] as [(Int, Int?)] {
            let limit = room == 0 ? 0 : try bytes(room == 5 ? 4 : room)
            let chosen = try plan.withLargestMicroBatch(ranks: 1) {
                $0.leastBytes(ofRank: 0, size: 1) <= limit
            }
            #expect(chosen?.recipe.training.microBatch == expected, "\(room)")
            #expect(chosen?.lanes.microBatch == expected, "\(room)")
        }
    }

    @Test("the lowest rate scales with the batch")
    func theLowestRateScalesWithTheBatch() throws {
        let plan = try TrainingPlan(recipe(toml), ranks: 1)
        #expect(plan.rate.peakLearningRate == 2e-3)
        #expect(plan.recipe.schedule.minimumLearningRate == 1e-4)
        #expect(abs(plan.learningRate(after: 1000) - 2e-4) < 1e-15)
    }

    @Test("the learning rate does not depend on the ranks")
    func ranksDoNotChangeTheRate() throws {
        let one = try TrainingPlan(recipe(toml), ranks: 1)
        for ranks in 2...8 {
            let plan = try TrainingPlan(recipe(toml), ranks: ranks)
            #expect(plan.recipe == one.recipe)
            for step in [0, 5, 20, 500, 999] {
                #expect(plan.learningRate(after: step) == one.learningRate(after: step))
            }
        }
    }

    /// The optimizer gets the scaled values; the run's recipe keeps the unscaled ones.
    @Test("rules scale betas, epsilon, weight decay and warmup")
    func scalesBetasEpsilonDecayAndWarmup() throws {
        let plan = try TrainingPlan(
            recipe(
                toml, set: "scaling.rule=adam-sde", "scaling.base_batch=6",
                "scaling.weight_decay=timescale", "scaling.warmup=tokens",
                "schedule.warmup_steps=100"), ranks: 1)
        #expect(plan.recipe.optimizer.beta1 == 0.9 && plan.recipe.optimizer.beta2 == 0.95)
        #expect(plan.recipe.optimizer.epsilon == 1e-8)
        #expect(plan.recipe.optimizer.weightDecay == 0.1)
        #expect(plan.recipe.schedule.warmupSteps == 100)
        #expect(abs(plan.rate.optimizer.beta1 - 0.6) < 1e-15)
        #expect(abs(plan.rate.optimizer.beta2 - 0.8) < 1e-15)
        #expect(plan.rate.optimizer.epsilon == 5e-9 && plan.rate.optimizer.weightDecay == 0.2)
        #expect(plan.learningRate(after: 24) < 2e-3 && plan.learningRate(after: 25) == 2e-3)
        let summary = plan.summary(facts(ranks: 1))
        for piece in [
            "  rate        0.001 at batch 6, rule adam-sde: x 2 for batch 24, peak 0.002\n",
            "  betas       0.6 and 0.8 for batch 24, from 0.9 and 0.95 at batch 6\n",
            "  epsilon     5e-09 for batch 24, from 1e-08 at batch 6\n",
            "warmup over 25 steps (4,800 tokens; 100 steps at batch 6), then cosine to 0.0002",
            "weight decay 0.2 for batch 24, from 0.1 at batch 6, on 3 of 16 tensors: wte.weight",
        ] {
            #expect(summary.contains(piece), "\(summary)")
        }
        let kept = try TrainingPlan(recipe(toml), ranks: 1)
        #expect(kept.rate.optimizer.beta1 == 0.9)
        #expect(!kept.summary(facts(ranks: 1)).contains("betas"))
        #expect(!kept.summary(facts(ranks: 1)).contains("epsilon"))
    }

    @Test(
        "the summary states the rule",
        arguments: [
            (
                ["scaling.rule=surge", "scaling.noise_scale=24"],
                "rule surge at noise scale 24: x 1.06"
            ),
            (
                ["scaling.rule=noise-scale", "scaling.noise_scale=12"],
                "rule noise-scale 12 with exponent 0.5: x 1.1547 "
            ),
            (
                ["scaling.rule=noise-scale", "scaling.noise_scale=12", "optimizer.name=sgd"],
                "rule noise-scale 12 with exponent 1.0: x 1.33333 "
            ),
            (["scaling.rule=beta2-half-life"], "rule beta2-half-life: x 1 for"),
            (
                ["scaling.rule=beta2-half-life", "scaling.exponent=0.5"],
                "rule beta2-half-life with exponent 0.5: x 1.41421 for"
            ),
            (
                ["scaling.rule=formula", "scaling.formula=\"lr * k^2\""],
                "rule \"lr * k^2\": x 4 for batch 24, peak 0.004"
            ),
        ] as [([String], String)])
    func summaryStatesTheRule(overrides: [String], text: String) throws {
        let recipe = try Recipe(toml: toml, name: "test.toml", overrides: overrides)
        let summary = try TrainingPlan(recipe, ranks: 1).summary(facts(ranks: 1))
        #expect(summary.contains(text), "\(summary)")
    }

    @Test("the summary states which tensors Muon moves, and at which rates")
    func summaryOfMuon() throws {
        let muon = try recipe(
            toml, set: "optimizer.name=muon", "optimizer.adam_learning_rate=3e-4")
        // The queries, keys and values of the block are three matrices.
        let summary = try TrainingPlan(muon, ranks: 1).summary(facts(ranks: 1))
        #expect(
            summary.contains(
                "  matrices    Muon moves 6 matrices of the blocks, and AdamW the other tensors at peak "
                    + "0.0006\n"), "\(summary)")
        #expect(!summary.contains("with Adam or AdamW"))
        #expect(
            !(try TrainingPlan(recipe(toml), ranks: 1).summary(facts(ranks: 1))).contains("Muon"))
    }

    @Test("more ranks than lanes are refused")
    func refusesMoreRanksThanLanes() throws {
        let recipe = try recipe(toml)
        expectFailure(.configuration, ["9 ranks", "8 lanes", "lanes to 12"]) {
            () throws(Failure) in
            _ = try TrainingPlan(recipe, ranks: 9)
        }
    }

    @Test(
        "batches that do not divide evenly are refused",
        arguments: [
            ("training.global_batch=26", ["lanes = 8", "global_batch = 26", "24 or 32"]),
            ("training.micro_batch=2", ["micro_batch = 2", "1 or 3"]),
        ])
    func refusesBatchesThatDoNotDivide(override: String, words: [String]) throws {
        let recipe = try recipe(toml, set: override)
        expectFailure(.configuration, words) { () throws(Failure) in
            _ = try TrainingPlan(recipe, ranks: 1)
        }
    }

    @Test("the summary separates values per rank from global ones")
    func summarySeparatesRanksFromTheWhole() throws {
        let summary = try TrainingPlan(recipe(toml), ranks: 3).summary(facts(ranks: 3))
        for piece in [
            "for 1,000 steps on 3 ranks x 2 threads, into runs/a b",
            "1 layer, 2 heads, width 16, context 8, vocabulary 50",
            "24 sequences over all ranks = 192 tokens; 192,000 tokens in all, 19.2 epochs of "
                + "10,000",
            "8 lanes of 3 sequences, each in 3 micro-batches of 1; at most 8 ranks; "
                + "slow ranks give lanes away",
            "2 or 3 lanes = 6 or 9 sequences = up to 72 tokens a step; 8 tokens a micro-batch",
            "0.001 at batch 12, rule linear: x 2 for batch 24, peak 0.002",
            "warmup over 20 steps (3,840 tokens), then cosine to 0.0002 at step 1,000",
            "weight decay 0.1 on 3 of 16 tensors: wte.weight, h.*.attn.c_attn.weight",
            "every 250 steps, on all 999 targets of the validation set",
            "3.0 KiB a rank, 5.0 KiB a host: parameters 1.0 KiB, gradients 2.0 KiB",
        ] {
            #expect(summary.contains(piece), "\(summary)")
        }
        #expect(!summary.contains("h.1."))
    }

    @Test("the summary covers unset and unusual values")
    func summaryCoversUnusualValues() throws {
        let plan = try TrainingPlan(
            recipe(
                toml, set: "training.micro_batch=0", "scaling.rule=power", "scaling.exponent=0.5",
                "schedule.name=constant", "schedule.warmup_steps=0", "evaluation.every=0",
                "evaluation.windows=5", "optimizer.weight_decay=0", "model.dropout=0.1"),
            ranks: 1)
        var facts = self.facts(ranks: 1)
        facts.decayedTensors = []
        facts.threads = 1
        facts.hosts = 2
        facts.validationTargets = 40
        let summary = plan.summary(facts)
        for piece in [
            "on 1 rank x 1 thread on 2 hosts", "dropout 0.1", "of 3 sequences, each at once",
            "8 lanes = 24 sequences = 192 tokens a step; 24 tokens a micro-batch",
            "rule power 0.5: x 1.41421 for batch 24, peak 0.00141421",
            "no warmup, then constant", "no weight decay",
            "after the last step, on the first 40 targets of 999",
        ] {
            #expect(summary.contains(piece), "\(summary)")
        }
        let gradual = try TrainingPlan(
            recipe(toml, set: "scaling.gradual_warmup=true", "schedule.name=linear"), ranks: 1)
        #expect(
            gradual.summary(facts).contains(
                "warmup over 20 steps (3,840 tokens) from the base rate, then linear to 0.0002"))
        #expect(gradual.learningRate(after: 0) == 1e-3)
    }
}

/// The facts about a run that a summary states.
private struct Facts {
    var ranks: Int
    var threads: Int
    var hosts: Int
    var runPath: String
    var trainingTokens: Int
    var validationTargets: Int
    var validationTokens: Int
    var decayedTensors: [String]
    var tensorCount: Int
    var memory: MemoryPlan
}

extension TrainingPlan {
    fileprivate func summary(_ facts: Facts) -> String {
        summary(
            ranks: facts.ranks, threads: facts.threads, hosts: facts.hosts,
            runPath: facts.runPath, trainingTokens: facts.trainingTokens,
            validationTargets: facts.validationTargets, validationTokens: facts.validationTokens,
            decayedTensors: facts.decayedTensors, tensorCount: facts.tensorCount,
            memory: facts.memory)
    }
}
