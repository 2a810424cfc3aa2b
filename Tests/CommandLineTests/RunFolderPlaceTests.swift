import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the places where a run's folder can be.
    @Suite(.serialized) struct RunFolderPlaceTests {
        /// A specification of a short sweep.
        private static let sweep = """
            recipe = "recipe.toml"
            batches = [4]
            learning_rates = [1e-3, 3e-3, 1e-2]
            seeds = [1]
            tokens = []
            steps = [4]
            extend = 0
            [set]
            "schedule.name" = "constant"
            """

        @Test(
            "a run can be written to an empty folder and to a link to one",
            arguments: ["empty", "link"])
        func emptyFolders(name: String) throws {
            let bench = try Workbench()
            try FileManager.default.createDirectory(
                atPath: bench.path("empty"), withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(
                atPath: bench.path("link"), withDestinationPath: "empty")
            try bench.train(into: name, ranks: 2)
            try bench.train(into: "plain")
            #expect(try bench.names(in: "empty") == bench.names(in: "plain"))
            expectRefusal(
                try bench.lockstep(bench.training(into: name)), 64, ["already holds a run"])
        }

        @Test(
            "every command that makes a folder accepts an empty one and a link to one",
            arguments: ["sweep", "find-lr", "branch", "landscape", "regimes", "tokenize"])
        func otherCommands(command: String) throws {
            let bench = try Workbench()
            try bench.write(Self.sweep, to: "sweep.toml")
            if ["landscape", "branch"].contains(command) { try bench.train() }
            let data = ["--data", bench.path("data")]
            let arguments =
                switch command {
                case "sweep": [bench.path("sweep.toml")] + data
                case "find-lr": [bench.path("recipe.toml"), "--steps", "20"] + data
                case "branch":
                    [bench.path("run"), "--tokens", "1", "--repeats", "1", "--checkpoints", "all"]
                case "landscape": [bench.path("run"), "--grid", "3"]
                case "regimes": [bench.path("recipe.toml"), "--grid", "3"] + data
                default: [bench.path("text.txt")]
                }
            try FileManager.default.createDirectory(
                atPath: bench.path("target"), withIntermediateDirectories: false)
            try FileManager.default.createDirectory(
                atPath: bench.path("empty"), withIntermediateDirectories: false)
            try FileManager.default.createSymbolicLink(
                atPath: bench.path("link"), withDestinationPath: "target")
            for name in ["empty", "link"] {
                let outcome = try bench.lockstep(
                    [command] + arguments + ["--out", bench.path(name)])
                #expect(outcome.status == 0, "\(command) \(name): \(outcome.errors)")
                #expect(try !bench.names(in: name).isEmpty)
            }
        }

        @Test("the checkpoints of a run can lie elsewhere, and links among them lose no checkpoint")
        func linkedCheckpoints() throws {
            let bench = try Workbench()
            try bench.train()
            let files = FileManager.default
            try files.moveItem(
                atPath: bench.path("run/checkpoints"), toPath: bench.path("elsewhere"))
            try files.createSymbolicLink(
                atPath: bench.path("run/checkpoints"), withDestinationPath: "../elsewhere")
            try files.moveItem(
                atPath: bench.path("elsewhere/step-00000006"), toPath: bench.path("kept"))
            try files.createSymbolicLink(
                atPath: bench.path("elsewhere/step-00000006"), withDestinationPath: "../kept")
            let kept = try bench.names(in: "kept")
            let resumption = ["train", "--resume", "--out", bench.path("run"), "--set"]
            let resumed = try bench.lockstep(resumption + ["training.steps=12"])
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("resumed from the checkpoint of step 6"))
            #expect(try bench.names(in: "elsewhere").last == "step-00000012")
            #expect(try bench.names(in: "kept") == kept)

            try files.moveItem(atPath: bench.path("elsewhere"), toPath: bench.path("gone"))
            expectRefusal(
                try bench.lockstep(resumption + ["training.steps=14"]), 66,
                ["run/checkpoints: cannot be listed (No such file or directory)"])
        }

        @Test("a file and a dangling link cannot hold a run or data")
        func filesAndDanglingLinks() throws {
            let bench = try Workbench()
            try bench.write("kept", to: "file")
            try FileManager.default.createSymbolicLink(
                atPath: bench.path("dangling"), withDestinationPath: "nowhere")
            for name in ["file", "dangling"] {
                expectRefusal(
                    try bench.lockstep(bench.training(into: name)), 64, ["is not a folder"])
                let data = try bench.lockstep(
                    "tokenize", bench.path("text.txt"), "--out", bench.path(name))
                #expect(data.status == 64)
                #expect(data.sentences.last?.contains("already exists") == true)
            }
            #expect(try bench.bytes(of: "file") == Data("kept".utf8))
            #expect(
                try bench.names()
                    == ["dangling", "data", "file", "recipe.toml", "text.txt"])
        }

        /// The volumes of containers are mount points.
        @Test(
            "a run can be written to a mount point",
            .enabled(if: geteuid() == 0, "mounting needs root"))
        func mountPoints() throws {
            let bench = try Workbench()
            // The command has its own mount namespace, which ends with it.
            let script = """
                mkdir "$1" && mount -t tmpfs none "$1" && mkdir "$1/lost+found" && shift && "$@" && ls "$0"
                """
            let outcome = try Launch.run(
                "unshare",
                ["--mount", "sh", "-c", script, bench.path("mount"), bench.path("mount")]
                    + [Workbench.lockstep] + bench.training(into: "mount"))
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("recipe.toml\n"))
            #expect(!outcome.output.contains("partial"))
        }

        @Test("the remains of a killed start in an empty folder are reported")
        func aKilledStart() throws {
            let bench = try Workbench()
            try FileManager.default.createDirectory(
                atPath: bench.path("run/new.partial"), withIntermediateDirectories: true)
            expectRefusal(
                try bench.lockstep(bench.training()), 64, ["run/new.partial: is left by a start"])
        }

        @Test("a run whose folder is removed during training fails, and no part of it is left")
        func aRemovedFolder() throws {
            let bench = try Workbench()
            let job = try BackgroundCommand(
                Workbench.lockstep,
                bench.training(
                    set: "training.steps=1000000", "evaluation.every=0", "checkpoint.every=0"))
            try job.wait { (try? bench.metrics().count) ?? 0 > 5 }
            try FileManager.default.removeItem(atPath: bench.path("run"))
            job.send(SIGTERM)
            #expect(try job.finish().status == 74)
            #expect(!bench.exists("run"))
        }

        @Test("a run without its data path asks for --data", arguments: [nil, "\n"])
        func aLostDataPath(content: String?) throws {
            let bench = try Workbench()
            try bench.train()
            try FileManager.default.removeItem(atPath: bench.path("run/data-path.txt"))
            if let content { try bench.write(content, to: "run/data-path.txt") }
            for command in [
                ["evaluate", bench.path("run")],
                ["train", "--resume", "--out", bench.path("run")],
            ] {
                expectRefusal(
                    try bench.lockstep(command), 66,
                    [
                        "data-path.txt: does not name the run's data; give the data folder with --data"
                    ])
            }
            let given = try bench.lockstep(
                "evaluate", bench.path("run"), "--data", bench.path("data"))
            #expect(given.status == 0, "\(given.errors)")
        }

        /// The second rank starts in another folder, where the relative paths do not exist, as on a
        /// second host.
        @Test("only the first rank needs the run's folder")
        func theFirstHostAlone() throws {
            let bench = try Workbench()
            try bench.write(
                """
                [ "$OMPI_COMM_WORLD_RANK" = 0 ] || cd /
                exec "$@"
                """, to: "elsewhere.sh")
            func run(_ arguments: [String]) throws -> Outcome {
                try Launch.run(
                    "sh",
                    [
                        "-c", "cd '\(bench.folder)' && exec \"$@\"", "sh",
                        "\(Launch.root)/launch/mpirun", "--ranks", "2", "--oversubscribe", "--",
                        "sh",
                        bench.path("elsewhere.sh"), Workbench.lockstep,
                    ] + arguments)
            }
            let data = ["--data", bench.path("data")]
            let missing = try run(["train", "recipe.toml", "--out", "run", "--data", "data"])
            expectRefusal(missing, 66, ["rank 1 on ", "copy the data to this path on every host"])
            let commands = [
                ["find-lr", "recipe.toml", "--steps", "20"] + data,
                ["regimes", "recipe.toml", "--out", "regimes", "--grid", "3"] + data,
                ["train", "recipe.toml", "--out", "run", "--set", "checkpoint.keep=0"] + data,
                ["train", "--resume", "--out", "run", "--set", "training.steps=8"],
                ["evaluate", "run"],
                ["find-lr", "recipe.toml", "--steps", "20", "--start", "run"] + data,
                ["landscape", "run", "--grid", "3", "--directions", "pca"],
            ]
            for command in commands {
                let outcome = try run(command)
                #expect(outcome.status == 0, "\(command): \(outcome.errors)")
            }
            try bench.write(Self.sweep, to: "sweep.toml")
            let sweep = try run(["sweep", bench.path("sweep.toml"), "--out", "sweep"] + data)
            #expect(sweep.status == 78)
            #expect(
                sweep.errors.contains("exists only on the first rank's host"), "\(sweep.errors)")
        }
    }
}
