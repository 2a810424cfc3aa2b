import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of evaluations and samples of a run.
    @Suite(.serialized) struct InspectionTests {
        /// The losses are equal to the last bit on any number of ranks and threads.
        @Test("an evaluation gives the loss at the end of training")
        func evaluationEqualsTraining() throws {
            let bench = try Workbench()
            try bench.train(ranks: 2)
            let trained = try bench.lastValidationLoss()
            for (ranks, threads) in [(0, 1), (1, 1), (2, 1), (3, 1), (5, 1), (1, 3)] {
                let outcome = try bench.lockstep(
                    "evaluate", bench.path("run"), "--json", "--threads-per-rank", "\(threads)",
                    ranks: ranks)
                #expect(outcome.status == 0, "\(outcome.errors)")
                #expect(outcome.output.split(separator: "\n").count == 1, "rank 0 alone speaks")
                let losses = Workbench.validationLosses(in: outcome.output)
                #expect(losses.map(\.bitPattern) == [trained.bitPattern], "\(ranks) ranks")
                #expect(outcome.output.contains("\"step\":6,"))
                #expect(outcome.output.contains("\"perplexity\":\(exp(trained)),"))
            }
            let earlier = try bench.lockstep(
                "evaluate", bench.path("run"), "--json", "--checkpoint", "4")
            #expect(earlier.output.contains("\"step\":4,"))
            #expect(Workbench.validationLosses(in: earlier.output) != [trained])
        }

        /// If a run averages its parameters, evaluations use the average both in training and
        /// afterward.
        @Test("an evaluation of averaged parameters gives the loss at the end of training")
        func evaluationEqualsTrainingOfAnAverage() throws {
            let bench = try Workbench()
            let training = bench.training(set: "training.averaging_power=2")
            let outcome = try bench.lockstep(training, ranks: 2)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let trained = try bench.lastValidationLoss()
            let evaluated = try bench.lockstep("evaluate", bench.path("run"), "--json")
            #expect(Workbench.validationLosses(in: evaluated.output) == [trained])
            // The parameters themselves have another loss.
            try bench.train(into: "plain")
            #expect(try bench.lastValidationLoss(of: "plain") != trained)
        }

        /// The mean does not depend on the number of windows in a micro-batch.
        @Test("the loss is a mean over all targets")
        func theLossIsAMeanOverAllTargets() throws {
            let bench = try Workbench()
            try bench.train()
            let tokens = (try bench.bytes(of: "data/validation.bin").count - 1024) / 2
            let outcome = try bench.lockstep("evaluate", bench.path("run"))
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("over \(tokens - 1) targets at step 6"))
        }

        @Test("a run can be evaluated, sampled and reported while it trains")
        func whileItTrains() throws {
            let bench = try Workbench()
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "2", "--oversubscribe", "--", Workbench.lockstep]
                    + bench.training(
                        set: "training.steps=1000000", "checkpoint.every=1000",
                        "checkpoint.best=false", "evaluation.every=0"))
            try job.wait(
                until: { bench.exists(Workbench.checkpoint(1000)) }, "the first checkpoint")
            for _ in 0..<3 {
                for command in ["evaluate", "sample", "report"] {
                    let outcome = try bench.lockstep(command, bench.path("run"))
                    #expect(outcome.status == 0, "\(outcome.errors)")
                }
            }
            let before = try bench.metrics().count
            try job.wait(until: { try bench.metrics().count > before + 10 }, "further steps")
            job.send(SIGTERM)
            #expect(job.waitUntilExit() == 75)
        }

        private func sample(
            _ bench: Workbench, _ options: String..., ranks: Int = 0
        ) throws -> String {
            let outcome = try bench.lockstep(
                ["sample", bench.path("run"), "--tokens", "60"] + options, ranks: ranks)
            #expect(outcome.status == 0, "\(outcome.errors)")
            return outcome.output
        }

        @Test("samples depend only on their seed")
        func samplesDependOnlyOnTheirSeed() throws {
            let bench = try Workbench()
            try bench.train()
            let first = try sample(bench, "--seed", "7")
            #expect(first.count == 61, "sixty characters and a line break")
            #expect(try sample(bench, "--seed", "7") == first)
            #expect(try sample(bench, "--seed", "7", ranks: 2) == first, "one text, not two")
            #expect(try sample(bench, "--seed", "7", "--threads-per-rank", "3") == first)
            #expect(try sample(bench, "--seed", "8") != first)
            let greedy = try sample(bench, "--temperature", "0", "--seed", "1")
            #expect(try sample(bench, "--temperature", "0", "--seed", "2") == greedy)
            #expect(try sample(bench, "--top-k", "1", "--seed", "3") == greedy)
            let several = try sample(bench, "--samples", "3", "--seed", "7")
            #expect(several.hasPrefix(first))
            #expect(several.count == 3 * 61)
            #expect(Set([0, 61, 122].map { several.dropFirst($0).prefix(61) }).count == 3)
        }

        /// The prompts are shorter and longer than the context of 8 characters.
        @Test(
            "a sample continues its prompt",
            arguments: ["a", "the rank", "the lane and the rank make a sum, and the sum"])
        func samplesContinueTheirPrompt(prompt: String) throws {
            let bench = try Workbench()
            try bench.train()
            let text = try sample(bench, "--prompt", prompt)
            #expect(text.hasPrefix(prompt))
            #expect(text.count == prompt.count + 61)
            #expect(text.allSatisfy { Workbench.text.contains($0) })
        }

        @Test("damaged runs are named")
        func damagedRunsAreNamed() throws {
            let bench = try Workbench()
            try bench.train()
            let run = bench.path("run")
            let full = try Launch.run(
                "bash", ["-c", "\"$1\" sample \"$2\" >/dev/full", "bash", Workbench.lockstep, run])
            expectRefusal(full, 74, ["cannot be written", "No space left"])
            try bench.write("{", to: "run/tokenizer.json")
            expectRefusal(try bench.lockstep("sample", run), 65, ["tokenizer.json"])
            try FileManager.default.removeItem(atPath: bench.path("run/tokenizer.json"))
            expectRefusal(try bench.lockstep("sample", run), 66, ["has no tokenizer.json"])
            try bench.write("/nowhere\n", to: "run/data-path.txt")
            expectRefusal(
                try bench.lockstep("evaluate", run, ranks: 2), 66,
                ["/nowhere: there is no such data folder"])
            try bench.write("garbage\n", to: "run/recipe.toml")
            expectRefusal(
                try bench.lockstep("evaluate", run), 78, ["run/recipe.toml", "not valid TOML"])
        }

        @Test("impossible samples are refused")
        func impossibleSamplesAreRefused() throws {
            let bench = try Workbench()
            try bench.train()
            let run = bench.path("run")
            for ranks in [0, 2] {
                expectRefusal(
                    try bench.lockstep("sample", run, "--prompt", "to be é", ranks: ranks), 65,
                    ["--prompt: has the character \"é\" (U+00E9)"])
            }
            for (options, word) in [
                (["--tokens", "0"], "--tokens 0: must"), (["--samples", "0"], "--samples 0: must"),
                (["--top-p", "2"], "--top-p 2.0: must"), (["--top-p", "0"], "--top-p 0.0: must"),
                (["--temperature", "nan"], "--temperature"),
                (["--temperature=-1"], "--temperature -1.0: must"),
                (["--top-k=-1"], "--top-k -1: must"),
            ] {
                expectRefusal(try bench.lockstep(["sample", run] + options), 64, [word])
            }
        }
    }
}
