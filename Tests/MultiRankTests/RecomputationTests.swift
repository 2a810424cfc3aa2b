import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that recomputed activations change a run's memory and not its results.
    @Suite(.serialized) struct RecomputationTests {
        private static let recipe = """
            [model]
            layers = 3
            heads = 2
            width = 32
            context_length = 11
            dropout = 0.1
            [training]
            steps = 6
            global_batch = 16
            [optimizer]
            learning_rate = 1e-2
            clip_norm = 0.5
            [schedule]
            decay_steps = 6
            warmup_steps = 1
            [reduction]
            lanes = 4
            [evaluation]
            every = 3
            [checkpoint]
            every = 3
            """

        /// Trains and returns the plan's words about activations.
        private func train(
            _ bench: Workbench, _ arguments: [String], recompute: Bool, ranks: Int,
            into run: RunResult
        ) throws -> Substring {
            let outcome = try bench.train(
                arguments + ["--set", "training.recompute=\(recompute)"], ranks: ranks, into: run)
            try #require(outcome.status == 0, "\(outcome.errors)")
            return try #require(
                outcome.errors.firstMatch(of: /activations ([0-9.]+ [KM]iB)/)?.1)
        }

        /// Micro-batches are complete lanes or single sequences.
        @Test("recomputation gives the same run in less memory", arguments: [0, 1])
        func theSameRunInLessMemory(microBatch: Int) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let arguments = [
                recipe, "--data", bench.data, "--set", "training.micro_batch=\(microBatch)",
            ]
            var first = FirstRun()
            var memory: Set<Substring> = []
            for (ranks, recompute) in [(1, false), (1, true), (2, true)] {
                let run = bench.run("\(ranks) \(recompute)")
                memory.insert(
                    try train(bench, arguments, recompute: recompute, ranks: ranks, into: run))
                #expect(try run.rankCount(step: 6) == ranks, "the run used \(ranks) ranks")
                let metrics = try first.expectSame(run, steps: [3, 6], "\(ranks) ranks")
                // There are six steps, and evaluations after the third and the last one.
                #expect(metrics.count == 8)
            }
            #expect(memory.count == 2, "one with and one without")
        }

        @Test(
            "a run may resume with or without recomputation",
            arguments: [(1, false, 2), (2, true, 1)])
        func runMayResumeWithoutRecomputation(before: Int, recompute: Bool, after: Int) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let whole = bench.run("whole")
            _ = try train(
                bench, [recipe, "--data", bench.data], recompute: false, ranks: 1,
                into: whole)
            let run = bench.run("resumed")
            let first = try train(
                bench, [recipe, "--data", bench.data, "--set", "training.steps=3"],
                recompute: recompute, ranks: before, into: run)
            let second = try train(
                bench, ["--resume", "--set", "training.steps=6"], recompute: !recompute,
                ranks: after, into: run)
            #expect(first != second)
            #expect(try run.rankCount(step: 6) == after)
            #expect(try run.metrics() == whole.metrics())
            #expect(try run.state(step: 6) == whole.state(step: 6))
        }
    }
}
