import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// A run belongs to one process at a time, and to its own recipe.
    @Suite(.serialized) struct OwnershipTests {
        @Test func anotherProcessTrainsTheRun() throws {
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

        /// A finished run that is resumed, as a requeue does, stays as it is.
        @Test func aFinishedRunStaysAsItIs() throws {
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
            // What was refused has changed nothing.
            #expect(!bench.exists("run/recipe.superseded-1.toml"))
        }

        /// Killed before its first checkpoint, a run begins again; the bits are those of any other.
        @Test func aRunWithoutACheckpointBeginsAgain() throws {
            let bench = try Workbench()
            try bench.train()
            try bench.train(into: "killed")
            // As a kill in the first steps leaves it: some metrics, no checkpoint.
            try FileManager.default.removeItem(atPath: bench.path("killed/checkpoints"))
            let outcome = try bench.lockstep(
                ["train", "--resume", "--out", bench.path("killed")], ranks: 2)
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.errors.contains("no checkpoint was written yet"))
            #expect(try bench.state(6, of: "killed") == bench.state(6))
            #expect(try bench.metrics(of: "killed").count == bench.metrics().count)
        }

        /// What was evaluated before the first step is not told twice of a run that begins again.
        @Test func beginningAgainEvaluatesTheStartOnce() throws {
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

        /// More steps become the run's own, so that a later resume needs not be told again.
        @Test func givenStepsAreKept() throws {
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
