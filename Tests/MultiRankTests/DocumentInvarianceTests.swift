import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests of training whose attention and positions start again at each document.
    @Suite(.serialized) struct DocumentInvarianceTests {
        private static let steps = 4
        private static let vocabulary = "\(Launch.root)/Tests/DataTests/Golden/small"

        private static func recipe(_ architecture: String) -> String {
            """
            [model]
            architecture = "\(architecture)"
            layers = 2
            heads = 2
            width = 16
            context_length = 24
            [training]
            steps = \(steps)
            global_batch = 8
            micro_batch = 1
            [data]
            reset_at_documents = true
            [optimizer]
            learning_rate = 1e-2
            [schedule]
            warmup_steps = 0
            decay_steps = 8
            [reduction]
            lanes = 8
            [evaluation]
            every = 2
            [checkpoint]
            every = 2
            """
        }

        /// Returns the arguments that train on texts in which documents end every 40 letters.
        private static func arguments(_ bench: Workbench, _ architecture: String) throws -> [String]
        {
            let text = Workbench.learnableText.enumerated().map {
                $0.offset % 40 == 39 ? "<|endoftext|>" : String($0.element)
            }.joined()
            try bench.write(text, to: "documents.txt")
            let outcome = try bench.lockstep(
                "tokenize", bench.path("documents.txt"), "--tokenizer", "gpt2", "--vocabulary",
                vocabulary, "--separator", "<|endoftext|>", "--out", bench.path("documents"))
            try #require(outcome.status == 0, "\(outcome.errors)")
            return [
                try bench.recipe("recipe", recipe(architecture)), "--data",
                bench.path("documents"),
            ]
        }

        @Test(
            "the layout does not change a bit, nor does a resume", arguments: ["gpt2", "llama"])
        func layoutsDoNotChangeABit(architecture: String) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let start = try Self.arguments(bench, architecture)
            var first = FirstRun()
            for (layout, options) in [
                (Layout(1), []), (Layout(2, threads: 2), ["--set", "training.recompute=true"]),
                (Layout(4, perHost: 2), []),
            ] {
                let run = bench.run("on \(layout)".replacing(",", with: ""))
                try bench.train(start + options, layout: layout, into: run)
                try first.expectSame(run, steps: [Self.steps], "\(layout)")
            }
            let longer = ["--set", "training.steps=8"]
            let whole = bench.run("whole")
            try bench.train(start + longer, layout: Layout(1), into: whole)
            let run = bench.run("resumed")
            try bench.train(start, layout: Layout(2), into: run)
            try bench.train(["--resume"] + longer, layout: Layout(4), into: run)
            #expect(try run.state(step: 8) == whole.state(step: 8))

            let off = bench.run("off")
            try bench.train(
                start + ["--set", "data.reset_at_documents=false"] + longer, layout: Layout(1),
                into: off)
            #expect(try off.state(step: 8) != whole.state(step: 8))
        }

        @Test("data without the end-of-text token are refused")
        func dataWithoutTheTokenAreRefused() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe("gpt2"))
            expectRefusal(
                try bench.lockstep(
                    "train", recipe, "--data", bench.data, "--out", bench.path("run")), 78,
                ["[data] reset_at_documents = true: needs an end-of-text token"])
        }
    }
}
