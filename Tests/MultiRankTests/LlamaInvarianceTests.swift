import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that runs of a LLaMA are as independent of their layout as those of a GPT-2.
    @Suite(.serialized) struct LlamaInvarianceTests {
        private static let steps = 4

        /// The weights of queries, keys and values have gaps between them if the width is 18.
        private static func recipe(width: Int, precision: String) -> String {
            """
            [model]
            architecture = "llama"
            layers = 2
            heads = 3
            kv_heads = 1
            width = \(width)
            hidden_width = 26
            context_length = 11
            rope_scaling = { factor = 4, original_context = 8 }
            [training]
            steps = \(steps)
            global_batch = 16
            micro_batch = 1
            precision = "\(precision)"
            [optimizer]
            learning_rate = 1e-2
            clip_norm = 0.5
            [schedule]
            warmup_steps = 0
            decay_steps = 8
            [reduction]
            lanes = 8
            bucket_mib = 0.01
            [evaluation]
            every = 2
            [checkpoint]
            every = 2
            """
        }

        @Test(
            "the layout does not change a bit, nor does a resume",
            arguments: [(18, "fp32"), (24, "fp32"), (24, "bf16")])
        func layoutsDoNotChangeABit(width: Int, precision: String) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe(
                "recipe", Self.recipe(width: width, precision: precision))
            let start = [recipe, "--data", bench.data, "--emulate-bf16"]
            var first = FirstRun()
            for (layout, options) in [
                (Layout(1), []), (Layout(1, threads: 2), []),
                (Layout(2), ["--set", "optimizer.sharded=true"]),
                (Layout(3, perHost: 2, threads: 2), ["--set", "training.recompute=true"]),
                (Layout(4), []), (Layout(4, perHost: 2), ["--set", "optimizer.sharded=true"]),
            ] {
                let name = "\(layout) \(options.last ?? "")"
                let run = bench.run(
                    name.replacing(",", with: "").replacing(".", with: " ")
                        .replacing("=", with: " "))
                try bench.train(start + options, layout: layout, into: run)
                #expect(try run.rankCount(step: Self.steps) == layout.ranks)
                try first.expectSame(run, steps: [Self.steps], name)
            }

            let longer = ["--set", "training.steps=8"]
            let whole = bench.run("whole")
            try bench.train(start + longer, layout: Layout(1), into: whole)
            let run = bench.run("resumed")
            try bench.train(start, layout: Layout(2), into: run)
            try bench.train(
                ["--resume", "--emulate-bf16"] + longer, layout: Layout(4, threads: 2), into: run)
            #expect(try run.rankCount(step: 8) == 4)
            #expect(try run.state(step: 8) == whole.state(step: 8))
        }
    }
}
