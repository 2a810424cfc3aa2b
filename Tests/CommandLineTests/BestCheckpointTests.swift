import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the checkpoint of the evaluation with the lowest loss.
    @Suite(.serialized) struct BestCheckpointTests {
        /// Settings with a rate that rises late, so that the loss is lowest in the middle.
        private static let settings = [
            "training.steps=40", "evaluation.every=10", "checkpoint.every=7",
            "schedule.name=sequence",
            "schedule.parts=[{name=\"constant\", steps=20}, {name=\"constant\", start_factor=60.0}]",
        ]

        private func arguments(_ bench: Workbench, _ more: String...) -> [String] {
            bench.training() + (Self.settings + more).flatMap { ["--set", $0] }
        }

        private func best(_ bench: Workbench) throws -> (step: Int, loss: Double) {
            let losses = try bench.metrics().compactMap { line -> (step: Int, loss: Double)? in
                guard let loss = line["validation_loss"] as? Double, let step = line["step"] as? Int
                else { return nil }
                return (step, loss)
            }
            return try #require(losses.min { $0.loss < $1.loss })
        }

        @Test(
            "the best checkpoint is kept, named at the end, and read with --checkpoint best",
            arguments: [0, 2])
        func theBestIsKept(ranks: Int) throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(arguments(bench), ranks: ranks)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let best = try best(bench)
            try #require(best.step == 20, "the loss is lowest before the rate rises")
            #expect(outcome.output.contains("its best checkpoint of step 20"))
            #expect(
                try bench.names(in: "run/checkpoints")
                    == ["step-00000020", "step-00000035", "step-00000040"])
            let evaluation = try bench.lockstep(
                "evaluate", bench.path("run"), "--checkpoint", "best", "--json")
            #expect(evaluation.output.contains("\"step\":20,"))
            #expect(Workbench.validationLosses(in: evaluation.output) == [best.loss])
            let sample = try bench.lockstep(
                "sample", bench.path("run"), "--checkpoint", "best", "--tokens", "3")
            #expect(sample.status == 0, "\(sample.errors)")
        }

        @Test("a resumed run knows the best evaluation before it")
        func aResumeKeepsTheBest() throws {
            let bench = try Workbench()
            let first = try bench.lockstep(arguments(bench, "training.steps=32"))
            try #require(first.status == 0, "\(first.errors)")
            let second = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), "--set", "training.steps=60",
                ranks: 2)
            try #require(second.status == 0, "\(second.errors)")
            #expect(second.output.contains("its best checkpoint of step 20"))
            #expect(try bench.names(in: "run/checkpoints").first == "step-00000020")
        }

        @Test("without [checkpoint] best only the newest checkpoints are kept")
        func bestCanBeTurnedOff() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(arguments(bench, "checkpoint.best=false"))
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(!outcome.output.contains("best"))
            #expect(
                try bench.names(in: "run/checkpoints") == ["step-00000035", "step-00000040"])
            let evaluation = try bench.lockstep(
                "evaluate", bench.path("run"), "--checkpoint", "best", "--json")
            #expect(evaluation.output.contains("\"step\":40,"))
            #expect(
                evaluation.errors.contains(
                    "no checkpoint of step 20, which had the lowest validation loss"))
        }

        @Test("--checkpoint takes a step or best")
        func otherValuesAreRefused() throws {
            let bench = try Workbench()
            for word in ["newest", "-1", "4.5"] {
                expectRefusal(
                    try bench.lockstep("evaluate", bench.path("run"), "--checkpoint", word), 64,
                    ["--checkpoint \(word): is neither a step nor \"best\""])
            }
        }

        @Test("a checkpoint contains the configuration that Transformers reads")
        func aCheckpointHasAConfiguration() throws {
            let bench = try Workbench()
            try bench.train()
            let file = try bench.bytes(of: "\(Workbench.checkpoint(6))/config.json")
            let entries = try #require(
                try JSONSerialization.jsonObject(with: file) as? [String: Any])
            #expect(entries["model_type"] as? String == "gpt2")
            #expect(entries["activation_function"] as? String == "gelu_new")
            for (key, value) in [
                ("n_layer", 1), ("n_head", 2), ("n_embd", 16), ("n_positions", 8),
                ("vocab_size", Set(Workbench.text).count),
            ] { #expect(entries[key] as? Int == value, "\(key)") }
        }
    }
}
