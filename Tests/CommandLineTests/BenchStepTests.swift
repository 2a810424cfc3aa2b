import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the output and the errors of `lockstep bench step`.
    @Suite(.serialized) struct BenchStepTests {
        private static let lockstep = Workbench.lockstep

        /// Returns arguments with fewer sequences than the size has, because speed does not matter
        /// here.
        private static func arguments(ranks: Int, _ more: [String] = []) -> [String] {
            ["bench", "step", "--size", "char", "--steps", "3"]
                + ["--set", "training.global_batch=\(2 * ranks)"] + more
        }

        @Test(
            "the JSON output has the fields of the peers and the breakdown",
            arguments: [0, 2])
        func jsonHasTheFieldsOfThePeers(ranks: Int) throws {
            let count = max(1, ranks)
            let arguments = Self.arguments(ranks: count, ["--json"])
            let outcome =
                ranks == 0
                ? try Launch.run(Self.lockstep, arguments)
                : try Launch.run(
                    "\(Launch.root)/launch/mpirun",
                    ["--ranks", "\(ranks)", "--oversubscribe", "--", Self.lockstep] + arguments)
            #expect(outcome.status == 0, "\(outcome.errors)")
            let lines = outcome.output.split(separator: "\n")
            try #require(lines.count == 1, "one line for all ranks")
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])
            func number(_ name: String) throws -> Double {
                try #require(report[name] as? Double, "\(name)")
            }
            #expect((report["peer"] as? String)?.hasPrefix("lockstep ") == true)
            #expect(report["size"] as? String == "char")
            #expect(report["precision"] as? String == "fp32")
            #expect(report["ranks"] as? Int == count)
            #expect(report["threads_per_rank"] as? Int == 1)
            #expect(report["steps"] as? Int == 3)
            #expect(
                report["overrides"] as? [String] == ["training.global_batch=\(2 * count)"])
            // There are 2 sequences of 64 tokens on each rank.
            let step = try number("step_seconds")
            let speed = try number("tokens_per_second")
            #expect(abs(speed * step / Double(128 * count) - 1) < 0.01)
            // 6 N + 12 L C T for 4 layers of width 128 is 5.203 MFLOP per token.
            let rate = try number("gflops_per_rank")
            #expect(abs(rate - speed / Double(count) * 5.203e-3) < 0.06)
            #expect(try number("peak_rss_gib") > 0.02 && number("planned_gib") > 0.02)
            #expect(try number("planned_host_gib") >= number("planned_gib"))
            #expect(try number("loss") > 2 && number("loss") < 5)
            #expect(try number("mfu") > 0)
            #expect(
                try abs(number("mfu") * number("peak_gflops_per_core") / rate - 1) < 0.1)
            let parts = try ["data", "forward", "backward", "exposed_reduce", "update", "other"]
                .map { try number("\($0)_seconds") }
            #expect(parts.allSatisfy { $0 >= 0 })
            #expect(try abs(parts.reduce(0, +) - number("mean_step_seconds")) < 1e-5)
        }

        @Test("the table names every part and the formula")
        func theTableNamesEveryPartAndTheFormula() throws {
            let outcome = try Launch.run(Self.lockstep, Self.arguments(ranks: 1))
            #expect(
                outcome.status == 0 && outcome.errors.hasPrefix("lockstep: measuring steps of "),
                "\(outcome.errors)")
            for words in [
                "char in fp32 on 1 rank x 1 thread", "with training.global_batch=2", "tokens/s",
                "MFU", "6 N + 12 L C T", "measured peak of", "data", "forward", "backward",
                "exposed reduce", "update", "program", "parameters", "gradients", "moments",
                "activations", "scratch", "planned", "resident at most",
            ] {
                #expect(outcome.output.contains(words), "\(outcome.output)")
            }
            for line in outcome.output.split(separator: "\n") {
                #expect(line.count <= 100, "\(line)")
            }
        }

        /// Sequences may be shorter than the context, whose positions are parameters nevertheless.
        /// A context that is shorter than the size's sequences shortens them.
        @Test(
            "the sequence length and the context determine the parameters",
            arguments: [
                ([], 64, 64), (["--sequence-length", "32"], 64, 32),
                (["--set", "model.context_length=32"], 32, 32),
                (["--set", "model.context_length=128"], 128, 64),
                (["--set", "model.context_length=128", "--sequence-length", "100"], 128, 100),
            ])
        func sequenceLengthAndContextDetermineParameters(
            more: [String], positions: Int, length: Int
        ) throws {
            let outcome = try Launch.run(
                Self.lockstep, Self.arguments(ranks: 1, ["--json"] + more))
            #expect(outcome.status == 0, "\(outcome.errors)")
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                    as? [String: Any])
            // There are 65 tokens, four blocks and the final norm, all of width 128.
            let expected = (65 + positions) * 128 + 4 * (12 * 128 * 128 + 13 * 128) + 2 * 128
            #expect(report["parameters"] as? Int == expected)
            #expect(report["sequence_length"] as? Int == length)
            let step = try #require(report["step_seconds"] as? Double)
            let speed = try #require(report["tokens_per_second"] as? Double)
            #expect(abs(speed * step / Double(2 * length) - 1) < 0.01)
        }

        @Test("recomputation needs less memory for the same loss")
        func recomputationNeedsLessMemory() throws {
            let reports = try [false, true].map { recompute in
                let outcome = try Launch.run(
                    Self.lockstep,
                    Self.arguments(
                        ranks: 1,
                        ["--json", "--set", "training.global_batch=16"]
                            + ["--set", "training.recompute=\(recompute)"]))
                #expect(outcome.status == 0, "\(outcome.errors)")
                return try #require(
                    try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                        as? [String: Any])
            }
            let losses = reports.compactMap { $0["loss"] as? Double }
            let planned = reports.compactMap { $0["planned_gib"] as? Double }
            try #require(losses.count == 2 && planned.count == 2)
            #expect(losses[0] == losses[1])
            // This is more than half of 37 MiB of activations; the program's own memory depends on
            // the machine.
            #expect(planned[0] - planned[1] > 18.5 / 1024)
        }

        @Test(
            "mistakes are refused",
            arguments: [
                (["--size", "gpt3"], 64, "--size gpt3: must be one of"),
                (["--size", "chars"], 64, "did you mean \"char\"?"),
                (["--precision", "fp8"], 64, "--precision fp8: must be fp32 or bf16"),
                (["--steps", "0"], 64, "--steps 0: must be"),
                (["--sequence-length", "0"], 64, "--sequence-length 0: must be"),
                (["--set", "training.steps=7"], 64, "has no effect on a benchmark"),
                (["--set", "evaluation.every=7"], 64, "has no effect on a benchmark"),
                (["--set", "model.vocabulary_size=0"], 78, "vocabulary_size = 0"),
                (["--sequence-length", "65"], 64, "--set model.context_length=65"),
                (["--threads-per-rank", "0"], 64, "--threads-per-rank 0: must be"),
                (["--set", "steps"], 64, "section.key=value"),
                (["--set", "model.heads=5"], 78, "heads = 5: does not divide width"),
                (["--set", "model.layer=5"], 78, "did you mean \"layers\"?"),
                (["--set", "model.width=1048576"], 78, "takes at least"),
                (
                    ["--set", "model.width=65536", "--set", "reduction.lanes=4"], 78,
                    "set [reduction] lanes lower"
                ),
                (["--speed"], 64, "--speed"),
            ] as [([String], Int32, String)])
        func mistakesAreRefused(arguments: [String], code: Int32, words: String) throws {
            let outcome = try Launch.run(
                Self.lockstep, ["bench", "step", "--size", "char"] + arguments)
            expectRefusal(outcome, code, [words])
        }

        /// bf16 runs if the processor multiplies it or if emulation is requested.
        @Test("bf16 is refused if it is slow")
        func slowBF16IsRefused() throws {
            let processor = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
            let arguments = Self.arguments(ranks: 1, ["--precision", "bf16", "--json"])
            let outcome = try Launch.run(Self.lockstep, arguments)
            if processor.contains("avx512_bf16") {
                #expect(outcome.status == 0, "\(outcome.errors)")
            } else {
                expectRefusal(
                    outcome, 78, ["AVX512-BF16", "precision = \"fp32\"", "--emulate-bf16"])
            }
            let reports = try [
                arguments + ["--emulate-bf16"], Self.arguments(ranks: 1, ["--json"]),
            ]
            .map { arguments in
                let outcome = try Launch.run(Self.lockstep, arguments)
                #expect(outcome.status == 0, "\(outcome.errors)")
                return try #require(
                    try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
                        as? [String: Any])
            }
            #expect(reports[0]["precision"] as? String == "bf16")
            let losses = reports.compactMap { $0["loss"] as? Double }
            try #require(losses.count == 2)
            #expect(losses[0] != losses[1] && abs(losses[0] - losses[1]) < 0.01)
        }

        /// Tokens depend on the sequence and not on the rank that computes it.
        @Test("a batch gives the same loss on any layout")
        func theSameBatchGivesTheSameLossOnAnyLayout() throws {
            let arguments = [
                "bench", "step", "--size", "char", "--steps", "2", "--json", "--set",
                "training.global_batch=8",
            ]
            let losses = try [1, 2, 4].map { ranks in
                let outcome = try Launch.run(
                    "\(Launch.root)/launch/mpirun",
                    ["--ranks", "\(ranks)", "--oversubscribe", "--", Self.lockstep] + arguments)
                let match = try #require(
                    outcome.output.firstMatch(of: /"loss":([0-9.]+)/), "\(outcome.errors)")
                return String(match.1)
            }
            #expect(Set(losses).count == 1, "\(losses)")
        }

        @Test("a mistake is reported once for all ranks")
        func mistakesAreReportedOnce() throws {
            let outcome = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "2", "--oversubscribe", "--", Self.lockstep]
                    + ["bench", "step", "--size", "char", "--set", "reduction.lanes=1"])
            expectRefusal(outcome, 78, ["2 ranks: are more than the 1 lane into"])
        }
    }
}
