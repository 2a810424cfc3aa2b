import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of runs that are resumed from a checkpoint in a new folder.
    @Suite(.serialized) struct ResumeFromTests {
        private func resume(
            _ bench: Workbench, from run: String = "run", into copy: String = "copy",
            ranks: Int = 0, _ options: String...
        ) throws -> Outcome {
            try bench.lockstep(
                ["train", "--resume-from", bench.path(run), "--out", bench.path(copy)] + options,
                ranks: ranks)
        }

        /// Returns the paths and contents of all files of a run except its lock.
        private func files(_ bench: Workbench, of run: String = "run") throws -> [String: Data] {
            var files: [String: Data] = [:]
            for path in try FileManager.default.subpathsOfDirectory(atPath: bench.path(run))
            where !path.hasSuffix("lock") {
                files[path] = FileManager.default.contents(atPath: bench.path("\(run)/\(path)"))
            }
            return files
        }

        @Test("a copy ends with the bits of the run, which stays as it is", arguments: [0, 2])
        func sameBits(ranks: Int) throws {
            let bench = try Workbench()
            try bench.train()
            let before = try files(bench)
            let outcome = try resume(bench, ranks: ranks, "--resume-checkpoint", "4")
            try #require(outcome.status == 0, "\(outcome.errors)")
            #expect(
                outcome.errors.contains(
                    "resumed from the checkpoint of step 4 of the run in \(bench.path("run"))"))
            #expect(try files(bench) == before)
            #expect(try bench.state(6, of: "copy") == bench.state(6))
            #expect(
                try bench.names(in: "copy/checkpoints") == ["step-00000004", "step-00000006"])
            func losses(_ run: String) throws -> [Double] {
                try bench.metrics(of: run).compactMap { $0["loss"] as? Double }
            }
            #expect(try losses("copy") == losses("run"))
            #expect(!bench.exists("copy/metrics.superseded.jsonl"))
        }

        @Test("the remaining steps may get another schedule, and the log says so")
        func otherSchedule() throws {
            let bench = try Workbench()
            let first = try bench.lockstep(
                bench.training(set: "schedule.name=constant", "schedule.warmup_steps=0"))
            try #require(first.status == 0, "\(first.errors)")
            let longer = try resume(
                bench, ranks: 2, "--resume-checkpoint", "4", "--set", "training.steps=8", "--set",
                "schedule.name=wsd", "--set", "schedule.stable_steps=4", "--set",
                "schedule.decay_steps=8", "--set", "schedule.minimum_learning_rate=0.001")
            try #require(longer.status == 0, "\(longer.errors)")
            #expect(
                longer.errors.contains("the remaining steps have [training] steps = 8 (was 6), "))
            #expect(longer.errors.contains("[schedule] name = \"wsd\" (was \"constant\")"))
            let rates = try bench.metrics(of: "copy").compactMap { $0["learning_rate"] as? Double }
            #expect(rates.prefix(5).allSatisfy { $0 == 0.01 } && rates.count == 8)
            #expect(abs((rates.last ?? 0) - (0.01 - 0.009 * 3 / 4)) < 1e-12)
        }

        @Test("the newest checkpoint is the default, and the best one can be chosen")
        func choices() throws {
            let bench = try Workbench()
            // The rate rises late, so that the loss is lowest before the newest checkpoint.
            let parts =
                "[{name=\"constant\", steps=6}, {name=\"constant\", start_factor=200.0}]"
            let run = try bench.lockstep(
                bench.training(
                    set: "training.steps=9", "schedule.name=sequence", "schedule.parts=\(parts)"))
            try #require(run.status == 0, "\(run.errors)")
            try #require(run.output.contains("its best checkpoint of step 6"))
            for (copy, options, step) in [
                ("newest", [], 9), ("best", ["--resume-checkpoint", "best"], 6),
            ] {
                let outcome = try bench.lockstep(
                    [
                        "train", "--resume-from", bench.path("run"), "--out", bench.path(copy),
                        "--set", "training.steps=10",
                    ] + options)
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(outcome.errors.contains("resumed from the checkpoint of step \(step)"))
            }
        }

        @Test("impossible resumes are refused, and nothing is created")
        func refusals() throws {
            let bench = try Workbench()
            try bench.train()
            let before = try files(bench)
            for (outcome, code, words) in [
                (try resume(bench, "--resume-checkpoint", "5"), 66, "give one of the steps 4, 6"),
                (try resume(bench, "--resume-checkpoint", "x"), 64, "is neither a step nor"),
                (try resume(bench, from: "none"), 66, "none: does not exist"),
                (try resume(bench, into: "run"), 64, "already holds a run"),
                (
                    try resume(bench, "--resume"), 64,
                    "--resume-from: cannot be combined with --resume"
                ),
                (
                    try resume(bench, "--set", "optimizer.learning_rate=0.5"), 78,
                    "cannot change midway"
                ),
                (
                    try bench.lockstep(
                        bench.training(into: "copy") + ["--resume-checkpoint", "4"]), 64,
                    "--resume-checkpoint: does nothing without --resume-from"
                ),
            ] as [(Outcome, Int32, String)] {
                expectRefusal(outcome, code, [words])
            }
            #expect(!bench.exists("copy"))
            #expect(try files(bench) == before)
        }
    }
}
