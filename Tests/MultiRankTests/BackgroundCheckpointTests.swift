import Checkpoints
import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that checkpoints written in the background equal the others, and that faults of their
    /// writing harm neither the run nor its earlier checkpoints.
    @Suite(.serialized) struct BackgroundCheckpointTests {
        /// A workbench and a library that disturbs the thread that writes checkpoints.
        private final class Faults {
            let bench: Workbench
            // LD_PRELOAD is a list of words.
            private let folder: TemporaryFolder
            private let library: String

            init() throws {
                bench = try Workbench()
                folder = try TemporaryFolder(hasSpace: false)
                library = "\(folder.path)/faults.so"
                let compiled = try Launch.run(
                    "clang",
                    [
                        "-shared", "-fPIC", "-O1", "-o", library,
                        "\(Launch.root)/Tests/WriterFaults/faults.c",
                    ])
                try #require(compiled.status == 0, "\(compiled.errors)")
            }

            /// Returns the words before a command that disturb its thread.
            func words(_ fault: String, _ variables: String...) -> [String] {
                ["env", "LD_PRELOAD=\(library)", "WRITER_FAULT=\(fault)"] + variables
            }
        }

        /// Returns the newest whole checkpoint of a run; fails if a newer one is damaged.
        private func newest(_ bench: Workbench) throws -> Int {
            let store = try CheckpointStore(folder: bench.path("run/checkpoints"), keep: 0)
            let found = try store.newestValid(by: store.verify) { step, reason in
                Issue.record("the checkpoint of step \(step) is damaged: \(reason.sentence)")
            }
            return found?.step ?? 0
        }

        @Test(
            "checkpoints written in the background have the bytes of the others",
            arguments: [(0, false), (2, false), (2, true), (3, true)])
        func sameBytes(ranks: Int, isSharded: Bool) throws {
            let bench = try Workbench()
            for background in [false, true] {
                let outcome = try bench.lockstep(
                    bench.training(
                        into: "\(background)",
                        set: "checkpoint.background=\(background)", "checkpoint.keep=0",
                        "training.averaging_power=4", "optimizer.sharded=\(isSharded)"),
                    ranks: ranks)
                try #require(outcome.status == 0, "\(outcome.errors)")
                // With several ranks, the plan may show one without the copy.
                if ranks == 0 {
                    #expect(outcome.errors.contains("checkpoint copy") == background)
                }
            }
            let steps = try bench.names(in: "false/checkpoints")
            #expect(try bench.names(in: "true/checkpoints") == steps && steps.count == 4)
            for step in steps {
                let names = try bench.names(in: "false/checkpoints/\(step)")
                #expect(names.count == 5)
                for name in names where name != "manifest.json" {
                    #expect(
                        try bench.bytes(of: "true/checkpoints/\(step)/\(name)")
                            == bench.bytes(of: "false/checkpoints/\(step)/\(name)"),
                        "\(step)/\(name)")
                }
                let manifests = try ["false", "true"].map { run in
                    var text = String(
                        decoding: try bench.bytes(of: "\(run)/checkpoints/\(step)/manifest.json"),
                        as: UTF8.self)
                    text.replace(/"checksum" : "[0-9a-f]*"/, with: "")
                    text.replace("background = \(run)", with: "")
                    return text
                }
                #expect(manifests[0] == manifests[1])
            }
        }

        /// A run is killed at the first call of the thread, resumed and killed at the second, and so
        /// on, until the kill comes after two checkpoints. `launch/test --all` tests every call,
        /// other runs every fifth.
        @Test("a kill at any call of the writing thread leaves the newest checkpoint readable")
        func killedAtEachCall() throws {
            let faults = try Faults()
            let bench = faults.bench
            let settings = ["checkpoint.every=5", "checkpoint.best=false", "evaluation.every=0"]
            let steps = 2000
            var arguments = bench.training(set: "training.steps=\(steps)")
            arguments += settings.flatMap { ["--set", $0] }
            var (before, call, written) = (0, 0, 0)
            while written < 2 {
                call += Launch.runsAll ? 1 : 5
                let words =
                    faults.words("kill", "WRITER_CALL=\(call)") + [Workbench.lockstep] + arguments
                let outcome = try Launch.run(words[0], Array(words.dropFirst()), seconds: 60)
                try #require(outcome.status == SIGKILL, "call \(call): \(outcome.errors)")
                let newest = try newest(bench)
                #expect(newest >= before, "call \(call) of the thread")
                written = (newest - before) / 5
                before = newest
                arguments = ["train", "--resume", "--out", bench.path("run")]
            }
            #expect(call > 50, "a checkpoint takes many calls")
            let last = ["--set", "checkpoint.every=0"]
            let resumed = try bench.lockstep(arguments + last, ranks: 2)
            try #require(resumed.status == 0, "\(resumed.errors)")
            let whole = try bench.lockstep(
                bench.training(into: "whole", set: "training.steps=\(steps)")
                    + settings.flatMap { ["--set", $0] } + last)
            try #require(whole.status == 0, "\(whole.errors)")
            #expect(try bench.state(steps) == bench.state(steps, of: "whole"))
            #expect(try bench.run("run").metrics() == bench.run("whole").metrics())
        }

        /// The first call fails in the first checkpoint, the second in the second, and so on.
        @Test("a failure of any call of the writing thread costs at most its checkpoint")
        func failuresAtEachCall() throws {
            let faults = try Faults()
            let bench = faults.bench
            let training = { (run: String) in
                bench.training(
                    into: run, set: "training.steps=500", "checkpoint.keep=0", "evaluation.every=10"
                )
            }
            let words = faults.words("fail") + [Workbench.lockstep] + training("run")
            let outcome = try Launch.run(words[0], Array(words.dropFirst()), seconds: 60)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let warnings = outcome.sentences.filter { $0.contains("no checkpoint at step") }
            #expect(warnings.first?.contains("Input/output error") == true, "\(outcome.errors)")
            #expect(outcome.errors.contains("a checkpoint was written again after"))

            let store = try CheckpointStore(folder: bench.path("run/checkpoints"), keep: 0)
            let written = try store.candidates()
            #expect(written.count > 100 && written.count < 230, "some of 250 were lost")
            for candidate in written { try store.verify(candidate) }
            #expect(try bench.names(in: "run/checkpoints").count == written.count)
            let best = try #require(
                outcome.output.firstMatch(of: /best checkpoint of step ([0-9]+)/))
            let steps = written.map { "\($0.step)" }
            #expect(steps.contains(String(best.1)), "the best one is a written one")

            let undisturbed = try bench.lockstep(training("whole"))
            try #require(undisturbed.status == 0, "\(undisturbed.errors)")
            #expect(try bench.state(500) == bench.state(500, of: "whole"))
        }

        @Test("training continues while a write hangs, and a stop waits for it")
        func hangingWrite() throws {
            let faults = try Faults()
            let bench = faults.bench
            let gate = bench.path("gate")
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "2", "--oversubscribe", "--"]
                    + faults.words("hold", "WRITER_GATE=\(gate)") + [Workbench.lockstep]
                    + bench.training(
                        set: "training.steps=10000000", "checkpoint.every=9000000",
                        "evaluation.every=0"))
            let run = bench.run("run")
            try job.wait(until: { run.stepsTaken > 20 }, "20 steps")
            let ranks = try Launch.ranks(of: bench.path("run"))
            let (first, second) = (try #require(ranks[0]), try #require(ranks[1]))
            kill(first, SIGUSR2)
            try job.wait(until: { bench.exists("gate.waiting") }, "the writing")
            let before = run.stepsTaken
            try job.wait(until: { run.stepsTaken > before + 100 }, "100 more steps")
            kill(second, SIGTERM)
            var stopped = 0
            try job.wait(
                until: {
                    defer { stopped = run.stepsTaken }
                    usleep(300_000)
                    return run.stepsTaken == stopped
                }, "the stop")
            #expect(!bench.exists("run/checkpoints"), "nothing is written yet")
            try bench.write("", to: "gate")
            #expect(try job.finish().status == 75)
            let names = try bench.names(in: "run/checkpoints")
            #expect(names.count == 2)
            let last = run.stepsTaken
            #expect(names.last == URL(filePath: Workbench.checkpoint(last)).lastPathComponent)
            #expect(try newest(bench) == last)
            let resumed = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), "--set",
                "training.steps=\(last + 3)")
            #expect(resumed.status == 0, "\(resumed.errors)")
        }
    }
}
