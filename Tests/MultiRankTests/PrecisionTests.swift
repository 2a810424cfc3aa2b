import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that runs in bf16 are as independent of their layout as runs in fp32.
    @Suite(.serialized) struct PrecisionTests {
        private static let steps = 4

        private static let recipe = """
            [model]
            layers = 2
            heads = 2
            width = 24
            context_length = 11
            dropout = 0.1
            [training]
            steps = \(steps)
            global_batch = 16
            micro_batch = 1
            precision = "bf16"
            [optimizer]
            learning_rate = 1e-2
            clip_norm = 0.5
            [reduction]
            lanes = 8
            bucket_mib = 0.01
            [evaluation]
            every = 2
            [checkpoint]
            every = 2
            """

        private func train(
            _ bench: Workbench, _ arguments: [String], _ layout: Layout, sharded: Bool = false,
            recompute: Bool = false, into run: RunResult
        ) throws {
            let options = [
                "--emulate-bf16", "--set", "optimizer.sharded=\(sharded)", "--set",
                "training.recompute=\(recompute)",
            ]
            try bench.train(arguments + options, layout: layout, into: run)
        }

        @Test("the layout does not change a bit in bf16", arguments: ["fp32", "bf16"])
        func layoutsDoNotChangeABit(wire: String) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let arguments = [
                recipe, "--data", bench.data, "--set", "reduction.wire=\"\(wire)\"",
            ]
            var first = FirstRun()
            for (layout, sharded, recompute) in [
                (Layout(1), false, false), (Layout(1, threads: 2), false, false),
                (Layout(2), false, false), (Layout(2), true, true),
                (Layout(3, perHost: 2, threads: 2), false, true),
                (Layout(4, perHost: 2), true, false),
                (Layout(5, perHost: 1, threads: 2), true, false),
            ] {
                let name = "\(layout), sharded: \(sharded), recompute: \(recompute)"
                let run = bench.run(name.replacing(",", with: "").replacing(":", with: ""))
                try train(
                    bench, arguments, layout, sharded: sharded, recompute: recompute, into: run)
                #expect(
                    try run.rankCount(step: Self.steps) == layout.ranks,
                    "the run used \(layout.ranks) ranks")
                try first.expectSame(run, steps: [Self.steps], name)
            }
        }

        @Test("a resumed bf16 run has the bits of an uninterrupted one")
        func resumedRunHasTheBitsOfAnUninterruptedOne() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let schedule = [
                "--set", "schedule.decay_steps=8", "--set", "schedule.warmup_steps=0",
            ]
            let start = [recipe, "--data", bench.data] + schedule
            let whole = bench.run("whole")
            try train(
                bench, start + ["--set", "training.steps=8"], Layout(1), into: whole)
            let run = bench.run("resumed")
            try train(bench, start, Layout(2), sharded: true, into: run)
            try train(
                bench, ["--resume", "--set", "training.steps=8"],
                Layout(3, threads: 2), into: run)
            #expect(try run.rankCount(step: 8) == 3)
            #expect(try run.state(step: 8) == whole.state(step: 8))
        }

        /// The tests above are meaningful because the precision changes bits.
        @Test("the precision changes bits and cannot change midway")
        func thePrecisionChangesBitsAndCannotChangeMidway() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let runs = try ["bf16", "fp32"].map { precision in
                let run = bench.run(precision)
                let chosen = ["--set", "training.precision=\"\(precision)\""]
                try train(
                    bench, [recipe, "--data", bench.data] + chosen, Layout(1),
                    into: run)
                return run
            }
            #expect(try runs[0].state(step: Self.steps) != runs[1].state(step: Self.steps))
            let outcome = try bench.train(
                ["--resume", "--set", "training.precision=\"fp32\""], ranks: 1, into: runs[0])
            #expect(outcome.status == 78)
            #expect(outcome.errors.contains("[training] precision"))
        }

        /// The evaluation of a finished run gives the loss at the end of the training.
        @Test("evaluation uses the precision of the run")
        func evaluationUsesThePrecisionOfTheRun() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let run = bench.run("run")
            let trained = try bench.train(
                [recipe, "--data", bench.data, "--emulate-bf16"], ranks: 2, into: run)
            try #require(trained.status == 0, "\(trained.errors)")
            let evaluated = try Launch.run(
                Workbench.lockstep, ["evaluate", run.folder.path])
            try #require(evaluated.status == 0, "\(evaluated.errors)")
            let loss = { (text: String) in
                text.firstMatch(of: /validation loss ([0-9.]+)/).map { String($0.1) }
            }
            #expect(loss(trained.output) != nil)
            #expect(loss(evaluated.output) == loss(trained.output))
        }
    }
}
