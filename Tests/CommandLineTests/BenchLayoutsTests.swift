import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of `lockstep bench layouts`.
    @Suite(.serialized) struct BenchLayoutsTests {
        private static let recipe = """
            \(Workbench.tinyModel)
            vocabulary_size = 20
            [training]
            global_batch = 64
            [schedule]
            warmup_steps = 400
            """

        @Test("layouts that use all cores are measured, and the fastest is named")
        func fastest() throws {
            let bench = try Workbench()
            try bench.write(Self.recipe, to: "my recipe.toml")
            let outcome = try bench.lockstep(
                "bench", "layouts", bench.path("my recipe.toml"), "--steps", "2", "--json")
            try #require(outcome.status == 0, "\(outcome.errors)")
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                    as? [String: Any])
            let layouts = try #require(report["layouts"] as? [[String: Any]])
            let sizes = try layouts.map { layout in
                (
                    ranks: try #require(layout["ranks"] as? Int),
                    threads: try #require(layout["threads"] as? Int),
                    speed: try #require(layout["tokens_per_second"] as? Double)
                )
            }
            let cores = try #require(sizes.map(\.ranks).max())
            #expect(sizes.allSatisfy { $0.ranks * $0.threads == cores && $0.speed > 0 })
            #expect(sizes.count == (1...cores).filter { cores % $0 == 0 }.count)
            let best = try #require(sizes.max { $0.speed < $1.speed })
            let command = try #require(report["command"] as? String)
            #expect(
                command.contains(
                    "--ranks \(best.ranks) --threads \(best.threads) -- lockstep train")
            )
            #expect(command.contains("my recipe.toml'"))
            let text = try bench.lockstep(
                "bench", "layouts", bench.path("my recipe.toml"), "--steps", "1")
            let last = text.output.split(separator: "\n").last ?? ""
            #expect(last.hasPrefix("fastest: ") && last.contains("/launch/mpirun --ranks "))
        }

        @Test("a recipe without a vocabulary is refused")
        func noVocabulary() throws {
            let bench = try Workbench()
            try bench.write("", to: "recipe.toml")
            expectRefusal(
                try bench.lockstep("bench", "layouts", bench.path("recipe.toml")), 78,
                ["vocabulary_size = 0", "--set model.vocabulary_size"])
        }

        @Test("bench step measures a recipe's own batch and precision")
        func stepsOfARecipe() throws {
            let bench = try Workbench()
            try bench.write(Self.recipe, to: "recipe.toml")
            let outcome = try bench.lockstep(
                "bench", "step", bench.path("recipe.toml"), "--steps", "1", "--json")
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("\"sequence_length\":8"))
            expectRefusal(
                try bench.lockstep(
                    "bench", "step", bench.path("recipe.toml"), "--precision", "bf16"),
                64, ["--precision: does not go with a recipe"])
        }
    }
}
