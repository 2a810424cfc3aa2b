import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that runs whose batch changes are as independent of their layout as others.
    @Suite(.serialized) struct BatchScheduleInvarianceTests {
        private static let recipe = """
            \(Workbench.tinyModel)
            dropout = 0.1
            [training]
            steps = 8
            global_batch = 8
            batch_schedule = [{ after_steps = 3, batch = 24 }, { after_tokens = 600, batch = 16 }]
            [optimizer]
            learning_rate = 1e-2
            [scaling]
            weight_decay = "timescale"
            rule = "sqrt"
            [schedule]
            name = "constant"
            warmup_steps = 0
            [reduction]
            lanes = 8
            [evaluation]
            every = 2
            [checkpoint]
            every = 2
            keep = 0
            """

        @Test("the layout does not change a bit, nor does a resume before, at or after a change")
        func layoutsDoNotChangeABit() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let start = [recipe, "--data", bench.data]
            var first = FirstRun()
            let whole = bench.run("layout 0")
            for (index, (layout, options)) in [
                (Layout(1), []), (Layout(2, threads: 2), []),
                (Layout(3), ["--set", "optimizer.sharded=true"]), (Layout(8, perHost: 3), []),
            ].enumerated() {
                let run = bench.run("layout \(index)")
                let outcome = try bench.train(
                    start + options, ranks: layout.ranks, threads: layout.threads, into: run,
                    environment: layout.environment)
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(
                    outcome.errors.contains(
                        "8 sequences = 64 tokens from step 1 on, rate x 1; "
                            + "24 sequences = 192 tokens from step 4 on, rate x 1.73205; "
                            + "16 sequences = 128 tokens from step 7 on, rate x 1.41421\n"))
                try first.expectSame(run, steps: [8], "\(layout)")
            }
            for (steps, ranks) in [(2, 4), (3, 2), (4, 8), (6, 1)] {
                let run = bench.run("resumed after \(steps)")
                let short = try bench.train(
                    start + ["--set", "training.steps=\(steps)", "--set", "evaluation.every=0"],
                    ranks: 2, into: run)
                try #require(short.status == 0, "\(short.errors)")
                try bench.train(
                    ["--resume", "--set", "training.steps=8"], layout: Layout(ranks), into: run)
                #expect(try run.state(step: 8) == whole.state(step: 8), "\(steps)")
            }
        }

        @Test("the metrics state the batch, the tokens and the rate of each step")
        func metrics() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            try bench.train(
                [recipe, "--data", bench.data], layout: Layout(2), into: bench.run("run"))
            let steps = try bench.metrics().filter { $0["loss"] != nil }
            let batches = [8, 8, 8, 24, 24, 24, 16, 16]
            #expect(steps.compactMap { $0["global_batch"] as? Int } == batches)
            var tokens = 0
            for (line, batch) in zip(steps, batches) {
                tokens += 8 * batch
                #expect(line["tokens"] as? Int == tokens)
                let rate = try #require(line["learning_rate"] as? Double)
                #expect(abs(rate - 0.01 * (Double(batch) / 8).squareRoot()) < 1e-12)
            }
            // Until the first change, the run is the one without a schedule.
            try bench.train(
                [
                    recipe, "--data", bench.data, "--set", "training.batch_schedule=[]", "--set",
                    "training.steps=2",
                ], layout: Layout(1), into: bench.run("plain"))
            #expect(
                try bench.run("plain").state(step: 2) == bench.run("run").state(step: 2))
            #expect(
                try bench.metrics(of: "plain").allSatisfy { $0["global_batch"] == nil })
        }

        @Test("a resume may append a change, but not move an earlier one")
        func appendedChange() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let start = [recipe, "--data", bench.data, "--set", "training.steps=4"]
            try bench.train(start, layout: Layout(2), into: bench.run("run"))
            func resume(_ changes: String) throws -> Outcome {
                try bench.train(
                    [
                        "--resume", "--set", "training.steps=8", "--set",
                        "training.batch_schedule=\(changes)",
                    ],
                    ranks: 2, into: bench.run("run"))
            }
            let moved = try resume("[{ after_steps = 2, batch = 24 }]")
            expectRefusal(
                moved, 78,
                [
                    "would change the batch of steps that the run in",
                    "keep the schedule up to step 4",
                ])
            let appended = try resume(
                "[{ after_steps = 3, batch = 24 }, { after_steps = 5, batch = 48 }]")
            try #require(appended.status == 0, "\(appended.errors)")
            #expect(
                appended.errors.contains("the remaining steps have [training] steps = 8 (was 4)"))
            let steps = try bench.metrics().filter { $0["loss"] != nil }
            #expect(
                steps.compactMap { $0["global_batch"] as? Int } == [8, 8, 8, 24, 24, 48, 48, 48])
        }
    }
}
