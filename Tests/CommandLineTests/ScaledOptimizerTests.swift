import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that steps use the values of the scaling rule.
    @Suite(.serialized) struct ScaledOptimizerTests {
        private static let scaled = [
            "scaling.rule=adam-sde", "scaling.base_batch=1", "scaling.weight_decay=timescale",
            "scaling.warmup=tokens", "schedule.warmup_steps=4", "schedule.decay_steps=6",
        ]

        /// The scaled values at four times the base batch, written by hand.
        private static let written = [
            "scaling.rule=none", "scaling.base_batch=4", "optimizer.learning_rate=0.02",
            "optimizer.betas=[0.6000000000000001, 0.7999999999999998]", "optimizer.epsilon=5e-9",
            "optimizer.weight_decay=0.2", "schedule.warmup_steps=1", "schedule.decay_steps=6",
        ]

        private func train(_ bench: Workbench, _ run: String, _ settings: [String]) throws {
            let arguments = bench.training(into: run) + settings.flatMap { ["--set", $0] }
            let outcome = try bench.lockstep(arguments)
            try #require(outcome.status == 0, "\(outcome.errors)")
        }

        @Test("scaled values give the steps of written ones")
        func scaledValuesEqualWrittenOnes() throws {
            let bench = try Workbench()
            try train(bench, "scaled", Self.scaled)
            try train(bench, "written", Self.written)
            try train(
                bench, "rate alone", Self.written + ["optimizer.betas=[0.9, 0.95]"])
            #expect(try bench.state(6, of: "scaled") == bench.state(6, of: "written"))
            #expect(try bench.state(6, of: "scaled") != bench.state(6, of: "rate alone"))
            let recipe = String(decoding: try bench.bytes(of: "scaled/recipe.toml"), as: UTF8.self)
            for line in [
                "betas = [0.9, 0.95]", "epsilon = 1e-08", "weight_decay = 0.1",
                "warmup_steps = 4", "learning_rate = 0.01", "rule = \"adam-sde\"",
            ] {
                #expect(recipe.contains("\n\(line)\n"), "\(recipe)")
            }
        }

        @Test("a resumed run scales its values once")
        func aResumedRunScalesOnce() throws {
            let bench = try Workbench()
            try train(bench, "whole", Self.scaled)
            try train(bench, "parts", Self.scaled + ["training.steps=4"])
            let outcome = try bench.lockstep(
                "train", "--resume", "--out", bench.path("parts"), "--set", "training.steps=6",
                ranks: 2)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(try bench.state(6, of: "parts") == bench.state(6, of: "whole"))
        }
    }
}
