import Foundation
import TestSupport
import Testing

/// Tests that start several ranks. They run one at a time because they share few cores.
@Suite(.serialized) struct MultiRankTests {}

extension MultiRankTests {
    /// Tests that one global batch gives the same bits on any layout of ranks and threads.
    @Suite(.serialized) struct LayoutInvarianceTests {
        private static let steps = 5

        private static func recipe(lanes: Int, batch: Int, microBatch: Int, dropout: Double)
            -> String
        {
            """
            [model]
            layers = 2
            heads = 2
            width = 24
            context_length = 11
            dropout = \(dropout)
            [training]
            steps = \(steps)
            global_batch = \(batch)
            micro_batch = \(microBatch)
            [optimizer]
            learning_rate = 1e-2
            clip_norm = 0.5
            [schedule]
            warmup_steps = 2
            [reduction]
            lanes = \(lanes)
            bucket_mib = 0.01
            [evaluation]
            every = 3
            [checkpoint]
            every = 0
            """
        }

        @Test(
            "the number of ranks does not change a bit",
            arguments: [(8, 16, 1, 0.0), (12, 24, 0, 0.1)])
        func ranksDoNotChangeABit(lanes: Int, batch: Int, microBatch: Int, dropout: Double) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe(
                "lanes-\(lanes)",
                Self.recipe(
                    lanes: lanes, batch: batch, microBatch: microBatch, dropout: dropout))
            var first = FirstRun()
            for ranks in [1, 2, 3, 4, 5, 6, 8] {
                let run = bench.run("ranks \(ranks)")
                let outcome = try bench.train(
                    [recipe, "--data", bench.data], ranks: ranks, into: run)
                try #require(outcome.status == 0, "\(ranks) ranks: \(outcome.errors)")
                #expect(try run.rankCount(step: Self.steps) == ranks, "the run used \(ranks) ranks")
                let metrics = try first.expectSame(run, steps: [Self.steps], "\(ranks) ranks")
                // There are five steps, and evaluations after the third and the last one.
                #expect(metrics.count == Self.steps + 2)
            }
        }

        @Test("the number of threads does not change a bit")
        func threadsDoNotChangeABit() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe(
                "threads", Self.recipe(lanes: 4, batch: 24, microBatch: 0, dropout: 0.1))
            var first = FirstRun()
            for (ranks, threads) in [(1, 1), (1, 2), (2, 3), (4, 2)] {
                let run = bench.run("layout \(ranks) x \(threads)")
                let outcome = try bench.train(
                    [recipe, "--data", bench.data], ranks: ranks, threads: threads, into: run)
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(
                    outcome.errors.contains(
                        "\(ranks) \(ranks == 1 ? "rank" : "ranks") x \(threads) thread"))
                try first.expectSame(
                    run, steps: [Self.steps], "\(ranks) ranks x \(threads) threads")
            }
        }

        /// The norms of whole tensors do not depend on the layout, also after a resume.
        @Test("the layout does not change a bit with trust ratios", arguments: ["lamb", "lars"])
        func trustRatiosDoNotChangeABit(name: String) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe(
                name, Self.recipe(lanes: 4, batch: 8, microBatch: 0, dropout: 0))
            let options = [
                "--data", bench.data, "--set", "optimizer.name=\(name)", "--set",
                "optimizer.weight_decay=0.1", "--set", "schedule.decay_steps=\(Self.steps)",
            ]
            var first = FirstRun()
            for (ranks, threads) in [(1, 1), (1, 3), (2, 2), (3, 1)] {
                let run = bench.run("\(ranks) x \(threads)")
                let outcome = try bench.train(
                    [recipe] + options, ranks: ranks, threads: threads, into: run)
                try #require(outcome.status == 0, "\(outcome.errors)")
                try first.expectSame(
                    run, steps: [Self.steps], "\(ranks) ranks x \(threads) threads")
            }
            let run = bench.run("resumed")
            for arguments in [
                [recipe] + options + ["--set", "training.steps=3"],
                ["--resume", "--set", "training.steps=\(Self.steps)"],
            ] {
                let outcome = try bench.train(arguments, ranks: 2, into: run)
                try #require(outcome.status == 0, "\(outcome.errors)")
            }
            let whole = bench.run("1 x 1")
            #expect(try run.state(step: Self.steps) == whole.state(step: Self.steps))
        }

        /// The other tests are meaningful because other lanes give other bits.
        @Test("the number of lanes changes bits")
        func lanesChangeBits() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            var states: [[Data]] = []
            for lanes in [1, 8] {
                let recipe = try bench.recipe(
                    "lanes-\(lanes)",
                    Self.recipe(lanes: lanes, batch: 16, microBatch: 2, dropout: 0))
                let run = bench.run("lanes \(lanes)")
                let outcome = try bench.train(
                    [recipe, "--data", bench.data], ranks: 1, into: run)
                try #require(outcome.status == 0, "\(outcome.errors)")
                states.append(try run.state(step: Self.steps))
            }
            #expect(states[0] != states[1])
        }
    }
}
