import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of existing, missing and resumed runs.
    @Suite(.serialized) struct ResumeTests {
        @Test("an existing run is never overwritten")
        func anExistingRunIsNeverOverwritten() throws {
            let bench = try Workbench()
            try bench.train()
            let before = try bench.bytes(of: "run/metrics.jsonl")
            for ranks in [0, 2] {
                let outcome = try bench.lockstep(bench.training(), ranks: ranks)
                expectRefusal(outcome, 64, ["already holds a run", "add --resume"])
            }
            #expect(try bench.bytes(of: "run/metrics.jsonl") == before)
            #expect(
                try bench.names(in: "run/checkpoints") == ["step-00000004", "step-00000006"])
        }

        @Test("output that cannot be written is named", arguments: [0, 2])
        func unwritableOutputIsNamed(ranks: Int) throws {
            let bench = try Workbench()
            for name in ["text.txt/run", "text.txt/deep/er/run"] {
                let outcome = try bench.lockstep(bench.training(into: name), ranks: ranks)
                expectRefusal(outcome, 74, [bench.path("text.txt"), "Not a directory"])
            }
            expectRefusal(
                try bench.lockstep(bench.training(into: "text.txt"), ranks: ranks), 64,
                ["is not a folder"])
            #expect(try bench.bytes(of: "text.txt") == Data(Workbench.text.utf8))
        }

        @Test("a missing run cannot be resumed, evaluated or sampled")
        func missingRunCannotBeResumed() throws {
            let bench = try Workbench()
            for (run, problem) in [("none", "does not exist"), ("data", "holds no run")] {
                let outcome = try bench.lockstep("train", "--resume", "--out", bench.path(run))
                expectRefusal(outcome, 66, ["\(bench.path(run)): \(problem)"])
            }
            for command in ["evaluate", "sample"] {
                let outcome = try bench.lockstep(command, bench.path("none"), ranks: 2)
                expectRefusal(outcome, 66, ["\(bench.path("none")): does not exist"])
            }
            #expect(!bench.exists("none"))
        }

        @Test("a changed key is named and refused")
        func aChangedKeyIsRefusedByName() throws {
            let bench = try Workbench()
            try bench.train()
            let resume = ["train", "--resume", "--out", bench.path("run")]
            for (override, words) in [
                ("model.width=32", "[model] width = 32"),
                ("training.seed=1", "[training] seed = 1"),
                ("training.global_batch=8", "[training] global_batch = 8"),
                ("optimizer.learning_rate=0.5", "[optimizer] learning_rate = 0.5"),
                ("reduction.lanes=2", "[reduction] lanes = 2"),
            ] {
                expectRefusal(
                    try bench.lockstep(resume + ["--set", override]), 78,
                    ["--set: \(words): cannot change midway"])
            }
            let other = Workbench.recipe.replacingOccurrences(of: "layers = 1", with: "layers = 2")
            try bench.write(other, to: "other.toml")
            expectRefusal(
                try bench.lockstep(resume + [bench.path("other.toml")]), 78,
                ["other.toml: [model] layers = 2: cannot change midway", "started with 1"])
            // The recipe that the run was started with is not a change.
            let same = try bench.lockstep(resume + [bench.path("recipe.toml")])
            #expect(same.status == 0, "\(same.errors)")
        }

        /// The recipe is the run's own one or the one it was started with, whose schedule is unset.
        @Test("a run can be resumed for more steps", arguments: [[], ["recipe.toml"]])
        func runCanBeResumedForMoreSteps(recipe: [String]) throws {
            let bench = try Workbench()
            try bench.train()
            let outcome = try bench.lockstep(
                ["train"] + recipe.map(bench.path) + [
                    "--resume", "--out", bench.path("run"), "--set", "training.steps=9",
                ], ranks: 2)
            #expect(outcome.status == 0, "\(outcome.errors)")
            let steps = try bench.metrics().filter { $0["loss"] != nil }
            #expect(steps.compactMap { $0["step"] as? Int } == Array(1...9))
            #expect(try bench.names(in: "run/checkpoints") == ["step-00000008", "step-00000009"])
        }

        /// With weight decay above 1 the padding of the token table turns into -0, which is in no
        /// file.
        @Test("a checkpoint is resumed with any padding between its tensors")
        func paddingIsNotHashed() throws {
            let bench = try Workbench()
            let first = try bench.lockstep(
                bench.training(
                    set: "optimizer.learning_rate=11", "schedule.name=constant",
                    "schedule.warmup_steps=0", "training.steps=2"))
            try #require(first.status == 0, "\(first.errors)")
            let second = try bench.lockstep(
                ["train", "--resume", "--out", bench.path("run"), "--set", "training.steps=4"],
                ranks: 2)
            #expect(second.status == 0, "\(second.errors)")
            #expect(second.errors.contains("resumed from the checkpoint of step 2"))
        }

        /// The run ends after several steps that are not finite, with one sentence of advice.
        @Test("a rate that is far too large ends the run")
        func aHopelessRateEndsTheRun() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                bench.training(
                    set: "optimizer.learning_rate=1e30", "training.steps=60",
                    "schedule.warmup_steps=0", "training.max_skipped_steps=4"), ranks: 2)
            #expect(outcome.status == 78)
            let sentences = outcome.sentences.filter {
                $0.contains("is the last of 4 steps in a row whose")
            }
            #expect(sentences.count == 1 && sentences == outcome.sentences.suffix(1))
            #expect(sentences.first?.contains("lower [optimizer] learning_rate") == true)
            let skipped = try bench.metrics().filter { $0["skipped"] as? Bool == true }
            #expect(skipped.count == 4)
            #expect(
                skipped.allSatisfy { $0["loss"] is NSNull || $0["gradient_norm"] is NSNull },
                "they are null in JSON, which knows no NaN")
        }

        @Test("metrics have their fields")
        func metricsHaveTheirFields() throws {
            let bench = try Workbench()
            try bench.train(ranks: 2)
            let lines = try bench.metrics()
            let steps = lines.filter { $0["loss"] != nil }
            #expect(steps.count == 6)
            for (index, line) in steps.enumerated() {
                for key in [
                    "step", "loss", "learning_rate", "gradient_norm", "tokens",
                    "tokens_per_second", "step_seconds", "data_seconds", "forward_seconds",
                    "backward_seconds", "exposed_reduce_seconds", "reduce_seconds",
                    "update_seconds",
                ] {
                    let number = try #require(line[key] as? Double, "\(key) in \(line)")
                    #expect(number.isFinite && number >= 0)
                }
                func seconds(_ part: String) -> Double { line["\(part)_seconds"] as? Double ?? -1 }
                let parts = ["data", "forward", "backward", "exposed_reduce", "update"]
                let whole = seconds("step")
                #expect(parts.reduce(0) { $0 + seconds($1) } <= whole * 1.001)
                #expect(seconds("reduce") <= seconds("exposed_reduce"))
                #expect(line["step"] as? Int == index + 1)
                #expect(line["tokens"] as? Int == (index + 1) * 4 * 8)
            }
            let evaluations = lines.filter { $0["validation_loss"] != nil }
            #expect(evaluations.compactMap { $0["step"] as? Int } == [3, 6])
            // The loss of an untrained model is the logarithm of the vocabulary size.
            let first = try #require(steps.first?["loss"] as? Double)
            let symbols = Set(Workbench.text).count
            #expect(abs(first - log(Double(symbols))) < 0.1)
        }
    }
}
