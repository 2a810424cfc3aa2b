import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that a run belongs to one process at a time and to its own recipe.
    @Suite(.serialized) struct OwnershipTests {
        @Test("a run that another process trains is refused")
        func anotherProcessTrainsTheRun() throws {
            let bench = try Workbench()
            try bench.train()
            let before = try bench.bytes(of: "run/metrics.jsonl")
            let lock = open(bench.path("run/lock"), O_RDWR)
            try #require(lock >= 0)
            try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
            let resume = ["train", "--resume", "--out", bench.path("run")]
            for ranks in [0, 2] {
                expectRefusal(
                    try bench.lockstep(resume, ranks: ranks), 78,
                    ["\(bench.path("run")): is locked by another process"])
            }
            #expect(try bench.bytes(of: "run/metrics.jsonl") == before)
            close(lock)
            #expect(try bench.lockstep(resume).status == 0)
        }

        /// A requeued job resumes such a run.
        @Test("a finished run that is resumed stays unchanged")
        func finishedRunStaysUnchanged() throws {
            let bench = try Workbench()
            try bench.train()
            let before = try bench.bytes(of: "run/metrics.jsonl")
            let state = try bench.state(6)
            for ranks in [0, 2] {
                let outcome = try bench.lockstep(
                    ["train", "--resume", "--out", bench.path("run")], ranks: ranks)
                #expect(outcome.status == 0, "\(outcome.errors)")
                #expect(outcome.output.contains("validation loss"))
            }
            #expect(try bench.bytes(of: "run/metrics.jsonl") == before)
            #expect(try bench.state(6) == state)
            let fewer = ["train", "--resume", "--out", bench.path("run"), "--set"]
            let outcome = try bench.lockstep(fewer + ["training.steps=5"])
            #expect(outcome.status == 78)
            #expect(outcome.errors.contains("is less than the 6 steps that the run has taken"))
            // The refused resume has changed nothing.
            #expect(!bench.exists("run/recipe.superseded-1.toml"))
        }

        /// The restarted run has the bits of any other run.
        @Test("a run that was killed before its first checkpoint restarts")
        func runWithoutACheckpointRestarts() throws {
            let bench = try Workbench()
            try bench.train()
            try bench.train(into: "killed")
            // A kill in the first steps leaves some metrics and no checkpoint.
            try FileManager.default.removeItem(atPath: bench.path("killed/checkpoints"))
            let outcome = try bench.lockstep(
                ["train", "--resume", "--out", bench.path("killed")], ranks: 2)
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.errors.contains("no checkpoint was written yet"))
            #expect(try bench.state(6, of: "killed") == bench.state(6))
            #expect(try bench.metrics(of: "killed").count == bench.metrics().count)
        }

        @Test("a restarted run has one evaluation before the first step")
        func restartedRunHasOneInitialEvaluation() throws {
            let bench = try Workbench()
            let training = bench.training(
                set: "evaluation.every=0", "evaluation.at=[0, 6]", "checkpoint.every=0")
            let first = try bench.lockstep(training)
            try #require(first.status == 0, "\(first.errors)")
            let whole = try bench.metrics()
            #expect(whole.filter { $0["step"] as? Int == 0 }.count == 1)
            try FileManager.default.removeItem(atPath: bench.path("run/checkpoints"))
            let again = try bench.lockstep("train", "--resume", "--out", bench.path("run"))
            try #require(again.status == 0, "\(again.errors)")
            #expect(try bench.metrics().count == whole.count)
            #expect(try bench.metrics().filter { $0["step"] as? Int == 0 }.count == 1)
        }

        /// A later resume need not set the steps again.
        @Test("steps that are set by a resume are kept")
        func stepsSetByAResumeAreKept() throws {
            let bench = try Workbench()
            try bench.train()
            let resume = ["train", "--resume", "--out", bench.path("run")]
            let before = try bench.bytes(of: "run/recipe.toml")
            #expect(try bench.lockstep(resume + ["--set", "training.steps=9"]).status == 0)
            let kept = try bench.bytes(of: "run/recipe.superseded-1.toml")
            #expect(kept.starts(with: before) && kept.count > before.count)
            let later = try bench.lockstep(resume)
            #expect(later.status == 0, "\(later.errors)")
            #expect(later.errors.contains("for 9 steps"))
            #expect(try bench.metrics().compactMap { $0["step"] as? Int }.max() == 9)
        }
    }
}
