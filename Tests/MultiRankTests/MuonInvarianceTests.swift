import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that Muon, which needs whole matrices, is as independent of the layout as other
    /// optimizers.
    @Suite(.serialized) struct MuonInvarianceTests {
        private static let steps = 4

        /// The buckets are smaller than the matrices, so that a matrix lies in several shards.
        private static func recipe(_ architecture: String, precision: String) -> String {
            """
            [model]
            architecture = "\(architecture)"
            layers = 2
            heads = 3
            width = 18
            context_length = 11
            [training]
            steps = \(steps)
            global_batch = 16
            micro_batch = 1
            precision = "\(precision)"
            [optimizer]
            name = "muon"
            learning_rate = 1e-2
            adam_learning_rate = 3e-3
            clip_norm = 0.5
            [schedule]
            warmup_steps = 0
            decay_steps = 8
            [reduction]
            lanes = 8
            bucket_mib = 0.002
            [evaluation]
            every = 2
            [checkpoint]
            every = 2
            """
        }

        @Test(
            "the layout does not change a bit, nor do shards or a resume",
            arguments: [("gpt2", "fp32"), ("llama", "fp32"), ("gpt2", "bf16")])
        func layoutsDoNotChangeABit(architecture: String, precision: String) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe(
                "recipe", Self.recipe(architecture, precision: precision))
            let start = [recipe, "--data", bench.data, "--emulate-bf16"]
            let sharded = ["--set", "optimizer.sharded=true"]
            var first = FirstRun()
            for (index, (layout, options)) in [
                (Layout(1), []), (Layout(1, threads: 2), []), (Layout(2), sharded),
                (Layout(3, perHost: 2, threads: 2), sharded), (Layout(4), []),
                (Layout(4, perHost: 2), sharded), (Layout(8), sharded), (Layout(1), sharded),
            ].enumerated() {
                let run = bench.run("layout \(index)")
                try bench.train(start + options, layout: layout, into: run)
                #expect(try run.rankCount(step: Self.steps) == layout.ranks)
                try first.expectSame(
                    run, steps: [Self.steps], "\(layout) \(options.last ?? "")")
            }

            let longer = ["--set", "training.steps=8"]
            let whole = bench.run("whole")
            try bench.train(start + longer, layout: Layout(1), into: whole)
            let run = bench.run("resumed")
            try bench.train(start + sharded, layout: Layout(2), into: run)
            try bench.train(
                ["--resume", "--emulate-bf16"] + longer, layout: Layout(4, threads: 2), into: run)
            #expect(try run.rankCount(step: 8) == 4)
            #expect(try run.state(step: 8) == whole.state(step: 8))
        }
    }
}
