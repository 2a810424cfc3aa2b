import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of branches of a run.
    @Suite(.serialized) struct BranchTests {
        /// A trunk with a warmup, a constant rate from step 4 to step 12, and a decay to 0.
        private static let trunk = [
            "training.steps=16", "schedule.name=wsd", "schedule.warmup_steps=4",
            "schedule.stable_steps=8", "schedule.decay_steps=16",
            "schedule.minimum_learning_rate=0", "evaluation.every=4", "checkpoint.every=4",
            "checkpoint.keep=0", "training.averaging_power=3", "model.dropout=0.1",
        ]

        private func trained(_ more: String...) throws -> Workbench {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                [
                    "train", bench.path("recipe.toml"), "--data", bench.path("data"), "--out",
                    bench.path("run"),
                ] + (Self.trunk + more).flatMap { ["--set", $0] })
            try #require(outcome.status == 0, "\(outcome.errors)")
            return bench
        }

        private func branch(
            _ bench: Workbench, _ out: String, _ options: String..., ranks: Int = 0
        ) throws -> [[String: Any]] {
            let outcome = try bench.lockstep(
                ["branch", bench.path("run"), "--out", bench.path(out)] + options, ranks: ranks)
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("\(out)/report.html"))
            #expect(try bench.names(in: out) == Self.files)
            return try ledger(bench, out)
        }

        private static let files = [
            "branches.csv", "branches.json", "branches.jsonl", "design.json", "lock", "report.html",
        ]

        private func ledger(_ bench: Workbench, _ out: String) throws -> [[String: Any]] {
            try bench.bytes(of: "\(out)/branches.jsonl").split(separator: UInt8(ascii: "\n")).map {
                try #require(try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any])
            }
        }

        /// Returns the SHA-256 of the parameters in a checkpoint of the run.
        private func parameterHash(_ bench: Workbench, step: Int) throws -> String {
            let text = String(
                decoding: try bench.bytes(of: "\(Workbench.checkpoint(step))/manifest.json"),
                as: UTF8.self)
            return String(try #require(text.firstMatch(of: /"parameter_hash" : "([0-9a-f]+)"/)).1)
        }

        @Test("a branch with the run's batch has the bits of the run's continuation")
        func continuation() throws {
            let bench = try trained()
            // Four steps of four sequences of eight tokens.
            let constant = try branch(
                bench, "constant", "--checkpoints", "4,8", "--tokens", "128", "--batches", "1,2,4",
                "--repeats", "2")
            #expect(constant.count == 12)
            let own = constant.filter { $0["batch"] as? Int == 4 && $0["repeat"] as? Int == 1 }
            #expect(own.compactMap { $0["checkpoint"] as? Int } == [4, 8])
            #expect(
                own.compactMap { $0["parameters_sha256"] as? String }
                    == [try parameterHash(bench, step: 8), try parameterHash(bench, step: 12)])
            #expect(Set(constant.compactMap { $0["parameters_sha256"] as? String }).count == 12)
            #expect(constant.compactMap { $0["steps"] as? Int }.prefix(3) == [4, 2, 1])
            // The trunk's decay is a branch that decays.
            let decayed = try branch(
                bench, "decayed", "--checkpoints", "12", "--tokens", "128", "--decay", "--rule",
                "linear", "--batches", "1,2", "--repeats", "1")
            #expect(
                decayed[0]["parameters_sha256"] as? String == (try parameterHash(bench, step: 16)))
            #expect(decayed[1]["learning_rate"] as? Double == 0.02)
        }

        @Test("without an average, the branch's loss is the run's to the last digit")
        func losses() throws {
            let bench = try Workbench()
            try bench.write(Workbench.recipe + "\nkeep = 0\n", to: "recipe.toml")
            let outcome = try bench.lockstep(
                bench.training(
                    set: "schedule.name=constant", "schedule.warmup_steps=0",
                    "evaluation.every=2"))
            try #require(outcome.status == 0, "\(outcome.errors)")
            _ = try branch(
                bench, "out", "--checkpoints", "2", "--tokens", "64", "--repeats", "1",
                "--batches", "1,2")
            let trunk = Workbench.validationLosses(
                in: String(decoding: try bench.bytes(of: "run/metrics.jsonl"), as: UTF8.self))
            let branches = Workbench.validationLosses(
                in: String(decoding: try bench.bytes(of: "out/branches.jsonl"), as: UTF8.self))
            // The run was evaluated after steps 2, 4 and 6.
            #expect(trunk.count == 3 && branches.count == 2)
            #expect(branches[0] == trunk[1])
        }

        @Test("all checkpoints at which the run has a rate are the default")
        func defaults() throws {
            let bench = try trained()
            let results = try branch(bench, "out", "--tokens", "1", "--repeats", "1")
            #expect(results.count == 12, "steps 4, 8 and 12, at batches 4, 8, 16 and 32")
            #expect(results.compactMap { $0["steps"] as? Int }.prefix(4) == [8, 4, 2, 1])
            expectRefusal(
                try bench.lockstep(
                    "branch", bench.path("run"), "--out", bench.path("x"), "--checkpoints", "16"),
                64, ["--checkpoints 16: ", "is followed by a learning rate of 0"])
        }

        @Test("checkpoints in the decay and the last one are left out unless they are named")
        func laterPhases() throws {
            let bench = try trained(
                "schedule.decay_steps=20", "schedule.stable_steps=4", "checkpoint.every=2")
            // The rate decays from step 8 on, and is still above 0 at the last step, 16.
            let options = ["--tokens", "1", "--repeats", "1", "--batches", "1,2"]
            let arguments = ["branch", bench.path("run")] + options
            let usual = try bench.lockstep(arguments + ["--out", bench.path("usual")])
            try #require(usual.status == 0, "\(usual.errors)")
            func steps(_ out: String) throws -> [Int] {
                Set(try ledger(bench, out).compactMap { $0["checkpoint"] as? Int }).sorted()
            }
            #expect(try steps("usual") == [2, 4, 6, 8])
            #expect(
                usual.errors.contains("has ended there: steps 10, 12, 14 and 16"),
                "\(usual.errors)")
            #expect(!usual.output.contains("*"))
            for checkpoints in ["all", "8,12,16"] {
                let out = bench.path(checkpoints)
                let named = try bench.lockstep(
                    arguments + ["--checkpoints", checkpoints, "--out", out])
                try #require(named.status == 0, "\(named.errors)")
                #expect(try steps(checkpoints).suffix(1) == [16])
                #expect(
                    named.output.contains("* Step 12 does not count for a batch warmup: its rate"))
                #expect(
                    named.output.contains("* Step 16 does not count for a batch warmup: the run"))
                #expect(!named.output.contains("* Step 8 "))
            }
            expectRefusal(
                try bench.lockstep(
                    "branch", "--resume", "--out", bench.path("usual"), "--checkpoints", "all"),
                64, ["--checkpoints all: differs from the branches being resumed"])
            let decayed = try trained(
                "schedule.decay_steps=20", "schedule.stable_steps=4", "checkpoint.keep=2")
            expectRefusal(
                try decayed.lockstep("branch", decayed.path("run"), "--out", decayed.path("x")), 78,
                ["has no checkpoint before its last one", "give --checkpoints all"])
        }

        @Test("impossible branches are refused, by one rank and by two")
        func refusals() throws {
            let bench = try trained()
            let run = bench.path("run")
            let out = ["--out", bench.path("x")]
            for (options, words) in [
                (["--checkpoints", "4,x"], ["--checkpoints 4,x: "]),
                (["--checkpoints", "4,4"], ["--checkpoints 4,4: "]),
                (["--batches", "2,4"], ["--batches 2,4: ", "including 1"]),
                (["--batches", "1"], ["--batches 1: "]),
                (["--batches", "1,0.3"], ["--batches 1,0.3: ", "whole sequences"]),
                (
                    ["--batches", "1,1000000"],
                    ["--batches 1,1000000: ", "training data have only"]
                ),
                (["--batches", "1,1e17"], ["--batches 1,1e17: ", "up to a billion"]),
                (["--batches", "1,1.75,2e8"], ["--batches 1,1.75,2e8: ", "common multiple"]),
                (["--tokens", "9000000000000000000"], ["must be at most"]),
                (["--batches", "1,nan"], ["--batches 1,nan: "]),
                (["--rule", "surge"], ["--rule surge: ", "sqrt"]),
                (["--tokens", "0"], ["--tokens 0: "]), (["--tokens", "-5"], ["--tokens -5: "]),
                (["--tolerance", "0"], ["--tolerance 0.0: "]),
                (["--tolerance", "nan"], ["--tolerance nan: "]),
                (["--repeats", "0"], ["--repeats 0: "]),
            ] {
                for ranks in [0, 2] {
                    expectRefusal(
                        try bench.lockstep(["branch", run] + out + options, ranks: ranks), 64, words
                    )
                }
            }
            expectRefusal(
                try bench.lockstep("branch", run), 64,
                ["--out: is missing; name the branches' folder."])
            expectRefusal(
                try bench.lockstep(["branch"] + out), 64,
                ["<run>: is missing; give the folder of a run"])
            expectRefusal(
                try bench.lockstep(["branch", run, "--checkpoints", "5"] + out, ranks: 2), 66,
                ["has no checkpoint of step 5", "give one of the steps 4, 8, 12, 16"])
            expectRefusal(
                try bench.lockstep(["branch", bench.path("data")] + out), 66, ["holds no run"])
            expectRefusal(
                try bench.lockstep("branch", run, "--out", run), 64, ["already holds a run"])
            expectRefusal(
                try bench.lockstep(["branch", "--resume"] + out), 66, ["x: does not exist"])
            // Five ranks are more than the four lanes of the run.
            expectRefusal(
                try bench.lockstep(["branch", run] + out, ranks: 5), 78, ["5 ranks", "4 lanes"])
            #expect(!bench.exists("x"))
        }

        @Test("an estimate trains and writes nothing, and a start states the same tokens")
        func estimate() throws {
            let bench = try trained()
            let options = [
                "branch", bench.path("run"), "--checkpoints", "4,8", "--batches", "1,2",
                "--tokens", "1", "--repeats", "2",
            ]
            for ranks in [0, 2] {
                let estimate = try bench.lockstep(options + ["--estimate"], ranks: ranks)
                try #require(estimate.status == 0, "\(estimate.errors)")
                let last = try #require(estimate.output.split(separator: "\n").last)
                #expect(last.hasPrefix("8 branches of "), "\(last)")
                let tokens = try #require(last.split(separator: ":").first)
                let out = "out\(ranks)"
                #expect(!bench.exists(out))
                let outcome = try bench.lockstep(
                    options + ["--out", bench.path(out)], ranks: ranks)
                #expect(outcome.errors.contains("\(tokens): about "), "\(outcome.errors)")
                let rest = try bench.lockstep(
                    "branch", "--resume", "--out", bench.path(out), "--estimate")
                #expect(rest.output.contains("0 branches of "), "\(rest.output)")
            }
            expectRefusal(
                try bench.lockstep("branch", "--resume", "--estimate"), 64, ["--out: is missing"])
        }

        @Test("other data than the run's are refused")
        func otherData() throws {
            let bench = try trained()
            try bench.write(Workbench.text + Workbench.text, to: "other.txt")
            let outcome = try bench.lockstep(
                "tokenize", bench.path("other.txt"), "--out", bench.path("other"), "--like",
                bench.path("run"))
            if outcome.status == 0 {
                expectRefusal(
                    try bench.lockstep(
                        "branch", bench.path("run"), "--out", bench.path("x"), "--data",
                        bench.path("other")), 65, ["does not hold the data"])
            } else {
                Issue.record("\(outcome.errors)")
            }
        }

        @Test("a damaged checkpoint is refused by name, and left out of all")
        func damagedCheckpoint() throws {
            let bench = try trained()
            let name = "\(Workbench.checkpoint(8))/optimizer.safetensors"
            var bytes = try bench.bytes(of: name)
            bytes[bytes.count - 1] ^= 1
            try bytes.write(to: URL(filePath: bench.path(name)))
            expectRefusal(
                try bench.lockstep(
                    "branch", bench.path("run"), "--out", bench.path("x"), "--checkpoints", "8"),
                65, ["is damaged"])
            let rest = try branch(bench, "out", "--tokens", "1", "--repeats", "1")
            #expect(Set(rest.compactMap { $0["checkpoint"] as? Int }) == [4, 12])
        }

        @Test("branches that have ended are never overwritten, and a resume needs no options")
        func resume() throws {
            let bench = try trained()
            let options = ["--checkpoints", "8", "--tokens", "256", "--repeats", "2"]
            let arguments = ["branch", bench.path("run"), "--out", bench.path("out")] + options
            let first = try bench.lockstep(arguments)
            try #require(first.status == 0, "\(first.errors)")
            let whole = try Self.files.filter { $0 != "lock" }.map {
                try bench.bytes(of: "out/\($0)")
            }
            for ranks in [0, 2] {
                expectRefusal(
                    try bench.lockstep(arguments, ranks: ranks), 64,
                    ["already holds branches", "add --resume"])
            }
            // A part of the ledger is left, with a torn line, as after a kill.
            let ledger = String(decoding: try bench.bytes(of: "out/branches.jsonl"), as: UTF8.self)
            let lines = ledger.split(separator: "\n")
            #expect(lines.count == 8)
            try bench.write(
                lines.prefix(3).joined(separator: "\n") + "\n{\"che", to: "out/branches.jsonl")
            for name in ["branches.csv", "branches.json", "report.html"] {
                try FileManager.default.removeItem(atPath: bench.path("out/\(name)"))
            }
            let resumed = try bench.lockstep(
                "branch", "--resume", "--out", bench.path("out"), ranks: 2)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("of which 3 have already ended"), "\(resumed.errors)")
            #expect(resumed.errors.contains("on 2 ranks"))
            let again = try Self.files.filter { $0 != "lock" }.map {
                try bench.bytes(of: "out/\($0)")
            }
            #expect(again == whole)
            #expect(resumed.output == first.output)
            // The same options are accepted, and others are refused.
            let same = try bench.lockstep(arguments + ["--resume"])
            #expect(same.status == 0, "\(same.errors)")
            for other in [
                ["--checkpoints", "4"], ["--batches", "1,2"], ["--rule", "linear"],
                ["--tokens", "512"], ["--decay"], ["--tolerance", "0.5"], ["--repeats", "3"],
            ] {
                expectRefusal(
                    try bench.lockstep(["branch", "--resume", "--out", bench.path("out")] + other),
                    64, [other[0], "differs from the branches being resumed"])
            }
            try bench.write(ledger + "{\"checkpoint\":8}\n", to: "out/branches.jsonl")
            expectRefusal(
                try bench.lockstep("branch", "--resume", "--out", bench.path("out")), 65,
                ["line 9 is not the result"])
        }
    }
}
