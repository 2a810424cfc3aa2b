import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of recipes that were edited by hand and of schedules for later steps.
    @Suite(.serialized) struct EditedRecipeTests {
        private func edit(_ bench: Workbench, _ key: String, _ value: String) throws {
            let text = String(decoding: try bench.bytes(of: "run/recipe.toml"), as: UTF8.self)
            let edited = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
                line.hasPrefix("\(key) = ") ? "\(key) = \(value)" : String(line)
            }.joined(separator: "\n")
            try #require(edited != text, "\(key) is in the recipe")
            try bench.write(edited, to: "run/recipe.toml")
        }

        @Test(
            "an edited key is named and refused",
            arguments: [
                ("seed", "5", "[training] seed = 5"),
                ("learning_rate", "0.5", "[optimizer] learning_rate = 0.5"),
                ("steps", "9", "[training] steps = 9"),
            ])
        func anEditIsRefused(key: String, value: String, named: String) throws {
            let bench = try Workbench()
            try bench.train()
            let before = try bench.bytes(of: "run/metrics.jsonl")
            try edit(bench, key, value)
            for ranks in [0, 2] {
                let outcome = try bench.lockstep(
                    ["train", "--resume", "--out", bench.path("run")], ranks: ranks)
                expectRefusal(
                    outcome, 78,
                    ["run/recipe.toml: was edited after step 6 in \(named) (trained with"])
            }
            #expect(try bench.bytes(of: "run/metrics.jsonl") == before)
        }

        @Test("all edited keys are named")
        func twoEdits() throws {
            let bench = try Workbench()
            try bench.train()
            try edit(bench, "seed", "5")
            try edit(bench, "learning_rate", "0.5")
            try edit(bench, "steps", "9")
            expectRefusal(
                try bench.lockstep("train", "--resume", "--out", bench.path("run")), 78,
                [
                    "[training] steps = 9 (trained with 6), [training] seed = 5 (trained with 1337), "
                        + "[optimizer] learning_rate = 0.5 (trained with 0.01); undo the edit, or "
                ])
        }

        /// The newest checkpoint then holds the recipe before the change.
        @Test("a change that a resume made is not an edit, but a later change by hand is")
        func changeByAResumeIsNoEdit() throws {
            let bench = try Workbench()
            let first = try bench.lockstep(bench.training(set: "checkpoint.every=0"))
            try #require(first.status == 0, "\(first.errors)")
            let checkpoint = bench.path(Workbench.checkpoint(6))
            try FileManager.default.copyItem(atPath: checkpoint, toPath: bench.path("kept"))
            let resume = ["train", "--resume", "--out", bench.path("run")]
            let more = try bench.lockstep(resume + ["--set", "training.steps=9"])
            try #require(more.status == 0, "\(more.errors)")
            // This is the state if the run is killed before the first checkpoint with the new recipe.
            try FileManager.default.removeItem(atPath: bench.path("run/checkpoints"))
            try FileManager.default.createDirectory(
                atPath: bench.path("run/checkpoints"), withIntermediateDirectories: false)
            try FileManager.default.moveItem(atPath: bench.path("kept"), toPath: checkpoint)
            let resumed = try bench.bytes(of: "run/recipe.toml")
            try edit(bench, "steps", "12")
            expectRefusal(
                try bench.lockstep(resume), 78,
                ["was edited after step 6 in [training] steps = 12 (trained with 6)"])
            try bench.write(String(decoding: resumed, as: UTF8.self), to: "run/recipe.toml")
            let again = try bench.lockstep(resume)
            #expect(again.status == 0, "\(again.errors)")
            #expect(again.errors.contains("resumed from the checkpoint of step 6"))
        }

        @Test("an extension can have its own schedule, but earlier steps keep their rates")
        func anExtensionHasASchedule() throws {
            let bench = try Workbench()
            try bench.train()
            let resume = [
                "train", "--resume", "--out", bench.path("run"), "--set", "training.steps=10",
            ]
            expectRefusal(
                try bench.lockstep(resume + ["--set", "schedule.minimum_learning_rate=0.005"]), 78,
                ["would change the learning rate of steps", "append to it with schedule.parts"])
            let parts = "schedule.parts=[{name=\"linear\", start_factor=0.5, end_factor=0.1}]"
            let outcome = try bench.lockstep(resume + ["--set", parts])
            try #require(outcome.status == 0, "\(outcome.errors)")
            let rates = try bench.metrics().compactMap { $0["learning_rate"] as? Double }
            // The rates go from 0.5 to 0.1 of the peak rate 0.01 in four steps.
            #expect(rates.suffix(4) == [0.005, 0.004, 0.003, 0.002])
        }

        @Test("train warns of steps at rate 0")
        func warnsOfStepsAtRateZero() throws {
            let bench = try Workbench()
            let extended = try bench.lockstep(
                bench.training(set: "schedule.minimum_learning_rate=0", "schedule.decay_steps=4"))
            #expect(extended.status == 0)
            #expect(
                extended.errors.contains(
                    "the steps after step 4, where the schedule ends, train at rate 0"))
            let one = try bench.lockstep(
                bench.training(into: "one", set: "training.steps=1", "schedule.warmup_steps=2"))
            #expect(one.errors.contains("the only step trains at rate 0"))
            let usual = try bench.lockstep(bench.training(into: "usual"))
            #expect(!usual.errors.contains("rate 0"))
        }

        @Test("the plan states the rate after the schedule's end, and a resume warns if it is 0")
        func ratesOfAnExtension() throws {
            let bench = try Workbench()
            for (run, lowest) in [("zero", "0"), ("low", "0.001")] {
                let first = try bench.lockstep(
                    bench.training(into: run, set: "schedule.minimum_learning_rate=\(lowest)"))
                try #require(first.status == 0, "\(first.errors)")
                #expect(first.errors.contains("then cosine to \(lowest) at step 6\n"))
                let more = try bench.lockstep(
                    "train", "--resume", "--out", bench.path(run), "--set", "training.steps=10")
                try #require(more.status == 0, "\(more.errors)")
                #expect(
                    more.errors.contains(
                        "then cosine to \(lowest) at step 6, then \(lowest) to the last step\n"))
                let warning = "the steps after step 6, where the schedule ends, train at rate 0"
                #expect(more.errors.contains(warning) == (lowest == "0"), "\(more.errors)")
                let rates = try bench.metrics(of: run).compactMap {
                    $0["learning_rate"] as? Double
                }
                #expect(rates.count == 10)
                #expect(rates.suffix(4).allSatisfy { $0 == Double(lowest) }, "\(rates)")
            }
        }
    }
}
