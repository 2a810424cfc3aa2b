import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of `lockstep recipes` and of the typical rates in plans.
    @Suite(.serialized) struct RecipesTests {
        @Test("recipes are listed, and a printed one trains")
        func listAndTrain() throws {
            let bench = try Workbench()
            let list = try bench.lockstep("recipes")
            #expect(list.status == 0, "\(list.errors)")
            let lines = list.output.split(separator: "\n")
            #expect(lines.count > 12)
            #expect(
                lines.contains { line in
                    line.split(separator: " ", omittingEmptySubsequences: true).starts(with: [
                        "gpt3-125m", "125", "M", "12", "768", "524", "k", "6e-4",
                    ])
                }, "\(list.output)")
            let printed = try bench.lockstep("recipes", "characters")
            #expect(printed.status == 0)
            try bench.write(printed.output, to: "characters.toml")
            let outcome = try bench.lockstep(
                "train", bench.path("characters.toml"), "--data", bench.path("data"), "--out",
                bench.path("run"), "--set", "training.steps=2", "--set", "schedule.warmup_steps=1",
                "--set", "model.width=16", "--set", "model.context_length=8")
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(
                outcome.errors.contains("peak rates of 0.0003 to 0.001 for models of this size"))
            expectRefusal(
                try bench.lockstep("recipes", "gpt4"), 64, ["\"gpt4\": is not the name of a recipe"]
            )
        }

        @Test("a rate far from the typical ones is warned of once, and only with Adam")
        func farRates() throws {
            let bench = try Workbench()
            let words = "more than 10 times outside the typical range of 0.0003 to 0.001"
            for (index, (optimizer, rate, count)) in [
                ("adamw", "0.02", 1), ("adamw", "1e-5", 1), ("adamw", "3e-3", 0),
                ("sgd", "0.02", 0),
            ].enumerated() {
                let outcome = try bench.lockstep(
                    [
                        "train", bench.path("recipe.toml"), "--data", bench.path("data"), "--out",
                        bench.path("run-\(index)"), "--set", "optimizer.name=\(optimizer)", "--set",
                        "optimizer.learning_rate=\(rate)", "--set", "training.steps=2",
                    ], ranks: 2)
                #expect(outcome.status == 0, "\(outcome.errors)")
                #expect(outcome.errors.components(separatedBy: words).count - 1 == count)
            }
        }
    }
}
