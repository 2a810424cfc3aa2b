import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of runs that stop because their validation loss no longer falls.
    @Suite(.serialized) struct EarlyStopTests {
        /// Settings with a rate that rises late, so that the loss is lowest at step 20.
        private static let settings = [
            "training.steps=80", "evaluation.every=10", "checkpoint.every=7",
            "schedule.name=sequence",
            "schedule.parts=[{name=\"constant\", steps=20}, {name=\"constant\", start_factor=60.0}]",
        ]

        private func train(
            _ bench: Workbench, into run: String = "run", ranks: Int = 0, _ more: String...
        ) throws -> Outcome {
            try bench.lockstep(
                bench.training(into: run) + (Self.settings + more).flatMap { ["--set", $0] },
                ranks: ranks)
        }

        private func resume(
            _ bench: Workbench, _ run: String = "run", ranks: Int = 0, _ settings: String...
        ) throws -> Outcome {
            try bench.lockstep(
                ["train", "--resume", "--out", bench.path(run)]
                    + settings.flatMap { ["--set", $0] }, ranks: ranks)
        }

        private func lastStep(_ bench: Workbench, of run: String = "run") throws -> Int? {
            try bench.metrics(of: run).compactMap { $0["step"] as? Int }.max()
        }

        @Test("patience ends a run with code 0, a line that says why, and a checkpoint")
        func patience() throws {
            let bench = try Workbench()
            let outcome = try train(bench, ranks: 2, "training.patience=2")
            try #require(outcome.status == 0, "\(outcome.errors)")
            let losses = try bench.metrics().compactMap { $0["validation_loss"] as? Double }
            try #require(losses.count == 4 && losses[1] == losses.min())
            let lowest = String(format: "%.4f", losses[1])
            #expect(
                outcome.output.hasPrefix(
                    "stopped early after step 40 of 80, because 2 evaluations in a row had no loss below "
                        + "\(lowest), that of step 20; validation loss "), "\(outcome.output)")
            #expect(outcome.output.hasSuffix("its best checkpoint of step 20\n"))
            #expect(try lastStep(bench) == 40)
            #expect(
                try bench.names(in: "run/checkpoints")
                    == ["step-00000020", "step-00000035", "step-00000040"])
            // An old log shows that nothing runs any more.
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -7200)],
                ofItemAtPath: bench.path("run/metrics.jsonl"))
            let watched = try bench.lockstep("watch", bench.path("run"), "--once")
            #expect(watched.output.contains("stopped early after step 40"), "\(watched)")
        }

        @Test("more patience resumes the run with the bits of one that never stopped")
        func resumed() throws {
            let bench = try Workbench()
            try #require(try train(bench, "training.patience=2").status == 0)
            let again = try resume(bench, ranks: 2)
            #expect(
                again.status == 0 && again.output.hasPrefix("stopped early after step 40 of 80"))
            #expect(try lastStep(bench) == 40)
            let more = try resume(bench, ranks: 2, "training.patience=50")
            try #require(more.status == 0, "\(more.errors)")
            #expect(more.output.hasPrefix("validation loss"))
            try #require(try train(bench, into: "whole").status == 0)
            #expect(try bench.state(80) == bench.state(80, of: "whole"))
        }

        /// The shorter run also evaluates after its last step.
        @Test("a resume counts the evaluations before it", arguments: [(32, 40), (20, 50)])
        func counted(steps: Int, end: Int) throws {
            let bench = try Workbench()
            let first = try train(bench, "training.patience=3", "training.steps=\(steps)")
            try #require(first.status == 0, "\(first.errors)")
            let second = try resume(bench, ranks: 2, "training.steps=80")
            try #require(second.status == 0, "\(second.errors)")
            #expect(
                second.output.hasPrefix("stopped early after step \(end) of 80"), "\(second.output)"
            )
        }

        @Test("patience without evaluations or below 1 is refused")
        func refusals() throws {
            let bench = try Workbench()
            expectRefusal(
                try train(bench, "training.patience=2", "evaluation.every=0"), 78,
                [
                    "[training] patience = 2: needs evaluations during the run; set [evaluation] every"
                ])
            expectRefusal(
                try train(bench, "training.patience=0"), 78,
                ["[training] patience = 0: must be a number of evaluations, 1 or more; use 5"])
            #expect(!bench.exists("run"))
        }
    }
}
