import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of impossible recipes and command lines.
    @Suite(.serialized) struct BadRequestTests {
        @Test(
            "impossible values are refused",
            arguments: [
                (
                    "training.global_batch=6", "set lanes to 3 or 6, or global_batch to 4 or 8",
                    [0, 2]
                ),
                ("model.heads=3", "heads = 3: does not divide width = 16", [0]),
                (
                    "model.laeyrs=3", "unknown key \"laeyrs\" in [model]; did you mean \"layers",
                    [0, 2]
                ),
                (
                    "optimizer.learning_rate=-1", "learning_rate = -1.0: must be a number from",
                    [0]
                ),
                // Sizes that exceed any machine's memory are refused before anything is allocated.
                ("model.width=1048576", "takes at least", [0, 2]),
                ("model.width=4611686018427387904", "at most 1048576", [0]),
            ])
        func impossibleValues(override: String, words: String, layouts: [Int]) throws {
            let bench = try Workbench()
            for ranks in layouts {
                let outcome = try bench.lockstep(bench.training(set: override), ranks: ranks)
                expectRefusal(outcome, 78, [words])
            }
            #expect(!bench.exists("run"))
        }

        @Test("a micro-batch that no machine's memory holds is refused")
        func impossibleMicroBatch() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(
                bench.training(
                    set: "training.global_batch=1000000000", "training.micro_batch=250000000"))
            expectRefusal(outcome, 78, ["takes at least", "set [training] micro_batch lower"])
            #expect(!bench.exists("run"))
        }

        @Test("more ranks than lanes are refused")
        func moreRanksThanLanes() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep(bench.training(), ranks: 5)
            expectRefusal(
                outcome, 78, ["5 ranks: are more than the 4 lanes", "start at most 4 ranks"])
            #expect(!bench.exists("run"))
        }

        @Test("missing and damaged recipes are named")
        func missingAndDamagedRecipes() throws {
            let bench = try Workbench()
            let arguments = ["--data", bench.path("data"), "--out", bench.path("run")]
            for ranks in [0, 2] {
                expectRefusal(
                    try bench.lockstep(
                        ["train", bench.path("none.toml")] + arguments, ranks: ranks),
                    66, [bench.path("none.toml"), "No such file"])
            }
            try bench.write("[model\n", to: "broken.toml")
            expectRefusal(
                try bench.lockstep(["train", bench.path("broken.toml")] + arguments), 78,
                [bench.path("broken.toml"), "not valid TOML at line 1"])
            expectRefusal(
                try bench.lockstep(["train"] + arguments), 64, ["<recipe>: is missing; name one"])
            #expect(!bench.exists("run"))
        }

        @Test("missing options are named")
        func missingOptions() throws {
            let bench = try Workbench()
            let recipe = bench.path("recipe.toml")
            expectRefusal(
                try bench.lockstep("train", recipe, "--data", bench.path("data")), 64, ["--out"])
            expectRefusal(
                try bench.lockstep("train", recipe, "--out", bench.path("run")), 64, ["--data"])
            expectRefusal(
                try bench.lockstep("train", recipe, "--data", bench.path("data"), "--out", ""), 64,
                ["--out \"\": is empty"])
            expectRefusal(
                try bench.lockstep(bench.training() + ["--threads-per-rank", "0"]), 64,
                ["--threads-per-rank 0: must be from 1"])
            expectRefusal(
                try bench.lockstep(bench.training(set: "steps=3")), 64, ["section.key=value"])
            #expect(!bench.exists("run"))
        }

        @Test(
            "unknown commands and options are named",
            arguments: [
                (["trian"], "lockstep: \"trian\": is not a command; did you mean \"train\"?"),
                (["train", "--nope"], "--nope: is not an option; did you mean"),
                (
                    ["train", "--traces", "a"],
                    "--traces: is not an option; did you mean \"--trace\"?"
                ),
                (["train", "--trace"], "--trace: has no value; see lockstep train --help."),
                (["sample"], "<run>: is missing; see lockstep sample --help."),
                (["evaluate", "a", "b"], "'b'"),
                (["sample", "a", "--tokens", "many"], "--tokens many: is not a valid value; see"),
            ])
        func unknownCommandsAndOptions(arguments: [String], words: String) throws {
            let bench = try Workbench()
            expectRefusal(try bench.lockstep(arguments), 64, [words])
            if arguments == ["trian"] {
                expectRefusal(try bench.lockstep(arguments, ranks: 2), 64, [words])
            }
        }

        /// Such a value must not be reported as missing.
        @Test(
            "values that begin with a dash are reported as invalid",
            arguments: [
                (["sample", "RUN", "--tokens", "-5"], "--tokens -5: must be"),
                (["sample", "RUN", "--temperature", "-0.5"], "--temperature -0.5: must be"),
                (["sample", "RUN", "--top-k", "-1"], "--top-k -1: must be"),
                (
                    ["sample", "RUN", "--seed", "-1"],
                    "--seed -1: is not a valid value; see lockstep sample"
                ),
                (["tokenize", "TEXT", "--out", "x", "--validation-fraction", "-0.1"], "-0.1"),
                (["tokenize", "TEXT", "--out", "x", "--shard-tokens", "-5"], "-5"),
                (["doctor", "--threads-per-rank", "-2"], "--threads-per-rank -2: must be"),
                (["bench", "step", "--steps", "-2"], "--steps -2: must be"),
                (["bench", "allreduce", "--maximum", "-4k"], "--maximum -4k: is not a size"),
                (["landscape", "RUN", "--grid", "-3"], "--grid -3: must be"),
                (["landscape", "RUN", "--extent", "-1"], "--extent -1.0: must be"),
                (["regimes", "--data", "DATA", "--out", "x", "--rates", "-1,2,3"], "-1"),
            ])
        func valuesThatBeginWithADash(arguments: [String], words: String) throws {
            let bench = try Workbench()
            let names = ["RUN": "run", "TEXT": "text.txt", "DATA": "data", "x": "x"]
            let outcome = try bench.lockstep(
                arguments.map { argument in names[argument].map(bench.path) ?? argument })
            expectRefusal(outcome, 64, [words])
        }

        @Test("a prompt may begin with a dash")
        func aPromptMayBeginWithADash() throws {
            let bench = try Workbench()
            try bench.write("-5 " + Workbench.text, to: "text.txt")
            let data = try bench.lockstep(
                "tokenize", bench.path("text.txt"), "--out", bench.path("dashes"))
            try #require(data.status == 0, "\(data.errors)")
            let trained = try bench.lockstep(bench.training(data: bench.path("dashes")))
            try #require(trained.status == 0, "\(trained.errors)")
            let outcome = try bench.lockstep(
                "sample", bench.path("run"), "--prompt", "-5", "--tokens", "3")
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.hasPrefix("-5"))
        }

        @Test("help and version are printed without an error")
        func helpAndVersionSucceed() throws {
            let bench = try Workbench()
            let version = try bench.lockstep("--version", ranks: 2)
            #expect(version.status == 0)
            #expect(version.output.wholeMatch(of: /lockstep [0-9.]+\n/) != nil, "once")
            for command in [
                "tokenize", "train", "watch", "evaluate", "sample", "export", "find-lr", "branch",
                "sweep", "analyze", "report", "landscape", "regimes", "doctor", "bench",
            ] {
                let help = try bench.lockstep(command, "--help")
                #expect(help.status == 0 && help.errors.isEmpty)
                #expect(help.output.contains("USAGE: lockstep \(command)"))
            }
            let keys = try bench.lockstep("train", "--keys")
            #expect(keys.status == 0 && keys.output.contains("[scaling]"))
            let sweepKeys = try bench.lockstep("sweep", "--keys")
            #expect(sweepKeys.status == 0 && sweepKeys.output.contains("target_losses"))
            let fields = try bench.lockstep("train", "--fields", ranks: 2)
            #expect(fields.status == 0)
            #expect(fields.output.ranges(of: "exposed_reduce_seconds\n").count == 1, "listed once")
        }

        /// Examples are pasted line by line, so none may be wrapped at 80 columns.
        @Test(
            "examples in the help can be pasted",
            arguments: [
                ["tokenize"], ["train"], ["watch"], ["evaluate"], ["sample"], ["export"],
                ["find-lr"],
                ["branch"], ["sweep"], ["analyze"], ["report"], ["landscape"], ["regimes"],
                ["doctor"], ["bench", "step"], ["bench", "kernels"], ["bench", "allreduce"],
            ])
        func examplesCanBePasted(command: [String]) throws {
            let help = try Launch.run(Workbench.lockstep, command + ["--help"])
            let lines = help.output.split(separator: "\n", omittingEmptySubsequences: false)
            let start = try #require(lines.firstIndex { $0.hasSuffix("Examples:") })
            let examples = lines[(start + 1)...].prefix { !$0.isEmpty }
            #expect(!examples.isEmpty)
            var goesOn = false
            for line in examples {
                let text = line.drop { $0 == " " }
                #expect(
                    goesOn
                        || ["launch/", "lockstep ", "cluster/", "zcat "].contains {
                            text.hasPrefix($0)
                        },
                    "\(line)")
                goesOn = text.hasSuffix("\\")
            }
        }

        @Test("data given by a relative name are found from another folder")
        func relativeDataNamesWorkFromOtherFolders() throws {
            let bench = try Workbench()
            let outcome = try Launch.run(
                "bash",
                [
                    "-c", "cd \"$1\" && \"$2\" train recipe.toml --data data --out 'my run'",
                    "bash", bench.folder, Workbench.lockstep,
                ])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let evaluated = try bench.lockstep("evaluate", bench.path("my run"))
            #expect(evaluated.status == 0, "\(evaluated.errors)")
        }
    }
}
