import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of data that change, move or are truncated after a run has begun.
    @Suite(.serialized) struct ChangedDataTests {
        /// A command that reads a token file for a long time.
        enum Reader: String, CaseIterable, Sendable { case train, findLR, sweep, landscape }

        /// The rank that reaches the end of the file prints one sentence, and the job exits with
        /// 74.
        @Test(
            "data that are truncated while in use are named",
            arguments: [
                (Reader.train, 0), (.train, 2), (.findLR, 0), (.sweep, 0), (.landscape, 2),
            ])
        func cutOffWhileInUse(reader: Reader, ranks: Int) throws {
            let bench = try Workbench()
            let (arguments, file) = try command(of: reader, in: bench)
            let launcher =
                ranks == 0
                ? [Workbench.lockstep]
                : [
                    "\(Launch.root)/launch/mpirun", "--ranks", "\(ranks)", "--oversubscribe", "--",
                    Workbench.lockstep,
                ]
            // The file is truncated after the command's first message, when its data are open.
            let script = """
                file=$1 log=$2; shift 2
                "$@" 2> >(tee "$log" >&2) &
                until grep -q "^lockstep: " "$log" 2>/dev/null; do sleep 0.05; done
                sleep 0.5
                truncate -s 1100 "$file"
                wait $!
                """
            let outcome = try Launch.run(
                "bash",
                ["-c", script, "bash", file, bench.path("log")] + launcher + arguments,
                seconds: 60)
            #expect(outcome.status == 74, "\(outcome.errors)")
            let sentences = outcome.sentences.filter { $0.contains("was truncated") }
            #expect(sentences.count == 1, "\(outcome.errors)")
            let sentence = sentences.first ?? ""
            #expect(sentence.hasPrefix("lockstep: "), "\(sentence)")
            #expect(
                sentence.contains("\(file): was truncated to 1100 bytes while it was in use; "),
                "\(sentence)")
            #expect(!outcome.errors.contains("SIGBUS") && !outcome.errors.contains("Bus error"))
        }

        /// Returns the arguments of a reader's command, and the token file that it reads.
        private func command(
            of reader: Reader, in bench: Workbench
        ) throws -> (arguments: [String], file: String) {
            let file = bench.path("data/train.bin")
            switch reader {
            case .train:
                let long = bench.training(set: "training.steps=100000000", "evaluation.every=0")
                return (long, file)
            case .findLR:
                return (
                    ["find-lr", bench.path("recipe.toml"), "--data", bench.data]
                        + ["--steps", "1000000"], file
                )
            case .sweep:
                try bench.write(
                    """
                    recipe = "recipe.toml"
                    batches = [4]
                    learning_rates = [1e-3, 2e-3, 3e-3]
                    seeds = [1]
                    steps = [100000000]
                    extend = 0
                    """, to: "sweep.toml")
                return (
                    ["sweep", bench.path("sweep.toml"), "--data", bench.data]
                        + ["--out", bench.path("sweep")], file
                )
            case .landscape:
                try bench.train()
                return (
                    ["landscape", bench.path("run"), "--grid", "501"],
                    bench.path("data/validation.bin")
                )
            }
        }

        /// A token outside the vocabulary is refused when it is read, because it is an index in the
        /// model.
        @Test("tokens that are overwritten while in use are refused")
        func overwrittenWhileInUse() throws {
            let bench = try Workbench()
            let file = bench.path("data/train.bin")
            let script = """
                file=$1 metrics=$2; shift 2
                "$@" &
                until [[ -s $metrics ]]; do sleep 0.05; done
                tr '\\0' '\\377' </dev/zero | dd of="$file" bs=1024 seek=1 count=2 conv=notrunc iflag=fullblock 2>/dev/null
                wait $!
                """
            let outcome = try Launch.run(
                "bash",
                [
                    "-c", script, "bash", file, bench.path("run/metrics.jsonl"), Workbench.lockstep,
                ] + bench.training(set: "training.steps=100000000", "evaluation.every=0"),
                seconds: 60)
            #expect(outcome.status == 65, "\(outcome.errors)")
            #expect(
                outcome.sentences.last?.contains("\(file): was overwritten while it was in use")
                    == true, "\(outcome.errors)")
        }

        @Test("edited tokens are refused")
        func editedTokensAreRefused() throws {
            let bench = try Workbench()
            try bench.train()
            for (split, command) in [
                ("validation", ["evaluate", bench.path("run")]),
                ("validation", ["landscape", bench.path("run")]),
                ("train", ["train", "--resume", "--out", bench.path("run")]),
            ] {
                let good = try bench.bytes(of: "data/\(split).bin")
                var edited = good
                edited.swapAt(1024, 1026)
                edited.swapAt(1025, 1027)
                try #require(edited != good)
                try edited.write(to: URL(filePath: bench.path("data/\(split).bin")))
                for ranks in [0, 2] {
                    expectRefusal(
                        try bench.lockstep(command, ranks: ranks), 65,
                        [
                            "data/\(split).bin: does not contain the \(split) tokens",
                            "data/dataset.json", "so it was changed; ",
                        ])
                }
                try good.write(to: URL(filePath: bench.path("data/\(split).bin")))
            }
            let whole = try bench.lockstep("evaluate", bench.path("run"))
            #expect(whole.status == 0 && whole.sentences.isEmpty, "\(whole.errors)")
        }

        /// The data may be the run's own or given with --data.
        @Test("other validation tokens are reported")
        func otherValidationTokensAreReported() throws {
            let bench = try Workbench()
            try bench.train()
            try bench.write(String(Workbench.text.reversed()), to: "other.txt")
            let tokenized = try bench.lockstep(
                "tokenize", bench.path("other.txt"), "--like", bench.path("run"), "--out",
                bench.path("other"))
            try #require(tokenized.status == 0, "\(tokenized.errors)")
            let words = "differ from those that the run in \(bench.path("run")) was trained with"
            let asked = try bench.lockstep(
                "evaluate", bench.path("run"), "--data", bench.path("other"), "--json")
            #expect(asked.status == 0 && asked.sentences.count == 1, "\(asked.errors)")
            #expect(asked.sentences.first?.contains(words) == true)
            #expect(!asked.errors.contains("warning"))

            try FileManager.default.removeItem(atPath: bench.path("data"))
            try FileManager.default.moveItem(
                atPath: bench.path("other"), toPath: bench.path("data"))
            for (command, ranks) in [("evaluate", 0), ("evaluate", 2), ("landscape", 0)] {
                let more = command == "landscape" ? ["--grid", "3"] : []
                let outcome = try bench.lockstep([command, bench.path("run")] + more, ranks: ranks)
                #expect(outcome.status == 0, "\(outcome.errors)")
                let warnings = outcome.sentences.filter { $0.contains(words) }
                #expect(warnings.count == 1, "\(outcome.errors)")
                #expect(warnings.first?.hasPrefix("lockstep: warning: ") == true)
                #expect(warnings.first?.contains("; give --data") == true)
            }
        }

        /// A run and a sweep store the path of their data, so the remedy is to give the new folder.
        @Test("moved data are named with the option that gives their new folder")
        func movedDataAreNamed() throws {
            let bench = try Workbench()
            try bench.train()
            try bench.write(
                Workbench.recipe + "\n[schedule]\nname = \"constant\"\n", to: "constant.toml")
            try bench.write(
                """
                recipe = "constant.toml"
                batches = [4]
                learning_rates = [1e-3, 4e-3, 1.6e-2]
                seeds = [1]
                steps = [6]
                extend = 0
                """, to: "sweep.toml")
            let swept = try bench.lockstep(
                "sweep", bench.path("sweep.toml"), "--data", bench.path("data"), "--out",
                bench.path("sweep"))
            try #require(swept.status == 0, "\(swept.errors)")
            try FileManager.default.moveItem(
                atPath: bench.path("data"), toPath: bench.path("moved"))
            let commands = [
                ["evaluate", bench.path("run")],
                ["landscape", bench.path("run"), "--grid", "3"],
                ["train", "--resume", "--out", bench.path("run")],
                ["sweep", "--resume", "--out", bench.path("sweep")],
            ]
            let remedy = "; if the data were moved, give --data their new folder."
            for command in commands {
                expectRefusal(
                    try bench.lockstep(command), 66,
                    ["\(bench.path("data")): there is no such data folder\(remedy)"])
            }
            // The same happens if a disk is not mounted.
            try FileManager.default.createDirectory(
                atPath: bench.path("data"), withIntermediateDirectories: false)
            for command in commands {
                expectRefusal(
                    try bench.lockstep(command), 66, ["\(bench.path("data")): has no", remedy])
            }
            for command in commands {
                let outcome = try bench.lockstep(command + ["--data", bench.path("moved")])
                #expect(outcome.status == 0, "\(outcome.errors)")
            }
            expectRefusal(
                try bench.lockstep(commands[0] + ["--data", bench.path("none")]), 66,
                ["\(bench.path("none")): there is no such data folder; make it with"])
        }

        /// The limit is raised as far as possible if there are more shards.
        @Test("more shards than the limit on open files can be read")
        func shardsAboveTheLimitOnOpenFiles() throws {
            let bench = try Workbench()
            let tokenized = try bench.lockstep(
                "tokenize", bench.path("text.txt"), "--shard-tokens", "20", "--out",
                bench.path("shards"))
            try #require(tokenized.status == 0, "\(tokenized.errors)")
            #expect(try bench.names(in: "shards").count > 100)
            for (limit, status) in [("ulimit -Sn 64", 0), ("ulimit -n 64", 74)] {
                let outcome = try Launch.run(
                    "bash",
                    ["-c", "\(limit); exec \"$@\"", "bash", Workbench.lockstep]
                        + bench.training(into: "run-\(status)", data: bench.path("shards")))
                #expect(outcome.status == status, "\(outcome.errors)")
                if status != 0 {
                    expectRefusal(outcome, 74, ["Too many open files", "ulimit -n"])
                }
            }
            try bench.train()
            #expect(try bench.state(6, of: "run-0") == bench.state(6))
        }
    }
}
