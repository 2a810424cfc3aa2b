import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of `lockstep plan`.
    @Suite(.serialized) struct PlanTests {
        private func rows(_ outcome: Outcome) throws -> [[String: Any]] {
            #expect(outcome.status == 0, "\(outcome.errors)")
            let plan =
                try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
            return try #require(plan?["rows"] as? [[String: Any]])
        }

        @Test("a step of the recipe is measured on two ranks and planned on every profile")
        func measuredStep() throws {
            let bench = try Workbench()
            let step = try bench.lockstep(
                [
                    "bench", "step", bench.path("recipe.toml"), "--json",
                    "--set", "model.vocabulary_size=40",
                ], ranks: 2)
            #expect(step.status == 0, "\(step.errors)")
            try bench.write(step.output, to: "step.json")
            let profiles = try FileManager.default.contentsOfDirectory(
                atPath: "\(Launch.root)/cluster/profiles")
            #expect(profiles.count == 5)
            for profile in profiles {
                let name = profile.replacing(".toml", with: "")
                let outcome = try bench.lockstep(
                    "plan", bench.path("recipe.toml"), "--step", bench.path("step.json"),
                    "--network", name, "--sequences-per-rank", "2", "--json")
                let rows = try rows(outcome)
                #expect(rows.compactMap { $0["ranks"] as? Int } == (0...12).map { 1 << $0 })
                #expect(rows.last?["global_batch"] as? Int == 8192)
            }
            let other = try bench.lockstep(
                "plan", bench.path("recipe.toml"), "--step", bench.path("step.json"),
                "--set", "model.width=32")
            expectRefusal(other, 65, ["[model] width = 32: differs from the measured step"])
        }

        @Test("without a measured step, the plan measures one and prints tables")
        func ownStep() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                "plan", bench.path("recipe.toml"), "--set", "model.vocabulary_size=40",
                "--critical-batch", "6", "--sequences-per-rank", "2", "--ranks-per-host", "2",
                "--most-ranks", "64", "--execute")
            #expect(outcome.status == 0, "\(outcome.errors)")
            for words in [
                "2 sequences per rank of", "executed ms", "rate by sqrt", "core-hours",
                "Beyond 3 ranks, the batch exceeds the critical batch of 6 sequences.",
                "The step was measured on 1 rank, but a host has 2",
            ] {
                #expect(outcome.output.contains(words), "\(outcome.output)")
            }
        }

        @Test("bad input is refused")
        func badInput() throws {
            let bench = try Workbench()
            let recipe = bench.path("recipe.toml")
            try bench.write("{}", to: "step.json")
            let empty = try bench.lockstep("plan", recipe, "--step", bench.path("step.json"))
            expectRefusal(empty, 65, ["step.json: has no string at recipe; write it with"])
            expectRefusal(
                try bench.lockstep("plan", recipe), 78, ["--set model.vocabulary_size="])
            try bench.write("gigabits_per_second = 1\nlatency_us = -1", to: "slow.toml")
            expectRefusal(
                try bench.lockstep("plan", recipe, "--network", bench.path("slow.toml")), 78,
                ["slow.toml: latency_us = -1: must be"])
            expectRefusal(
                try bench.lockstep("plan", recipe, "--network", bench.path("none.toml")), 66,
                ["none.toml: "])
            expectRefusal(
                try bench.lockstep("plan", recipe, "--run", bench.path("none")), 66,
                ["metrics.jsonl: does not exist"])
        }
    }
}
