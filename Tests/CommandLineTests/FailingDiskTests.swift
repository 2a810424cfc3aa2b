import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that writes that fail end a run at its last step at the latest, and that neither
    /// checkpoints nor lines of the metrics are lost.
    @Suite(.serialized) struct FailingDiskTests {
        private static let metrics = "metrics wait in memory, and no checkpoint is written until"

        private func train(
            _ bench: Workbench, _ faults: FaultInjector?, _ arguments: [String], ranks: Int
        ) throws -> Outcome {
            let launcher =
                ranks == 0
                ? []
                : ["\(Launch.root)/launch/mpirun", "--ranks", "\(ranks)", "--oversubscribe", "--"]
            let words = launcher + (faults?.prefix ?? []) + [Workbench.lockstep] + arguments
            return try Launch.run(words[0], Array(words.dropFirst()), seconds: 60)
        }

        private func metrics(of run: String, _ bench: Workbench) throws -> [String] {
            String(decoding: try bench.bytes(of: "\(run)/metrics.jsonl"), as: UTF8.self)
                .split(separator: "\n").map {
                    String(
                        $0.replacing(
                            /,"[a-z_]*(seconds|per_second|slowest_rank[a-z_]*)":[^,}]*/, with: ""))
                }
        }

        @Test(
            "a disk that fails to the end keeps what was committed, and the run can be resumed",
            arguments: ["EIO-checkpoint", "ENOSPC-checkpoint", "EIO-metrics", "ENOSPC-metrics"],
            [0, 2])
        func failsToTheEnd(fault: String, ranks: Int) throws {
            let bench = try Workbench()
            let start = try train(
                bench, nil, bench.training(set: "training.steps=4", "schedule.decay_steps=8"),
                ranks: ranks)
            try #require(start.status == 0, "\(start.errors)")
            let committed = try bench.names(in: "run/checkpoints")
            try FileManager.default.copyItem(
                atPath: bench.path("run"), toPath: bench.path("whole"))
            let whole = try train(
                bench, nil,
                ["train", "--resume", "--out", bench.path("whole"), "--set", "training.steps=8"],
                ranks: ranks)
            try #require(whole.status == 0, "\(whole.errors)")
            let resumption = ["train", "--resume", "--out", bench.path("run"), "--set"]
            let faults = try FaultInjector()
            try faults.request(fault, always: true)
            let failed = try train(
                bench, faults, resumption + ["training.steps=8"], ranks: ranks)
            #expect(failed.status == 74, "\(failed.errors)")
            #expect(failed.output.isEmpty)
            let warnings = failed.sentences.filter { $0.contains("lockstep: warning: ") }
            let beginning =
                fault.hasSuffix("metrics") ? Self.metrics : "no checkpoint at step 6; earlier ones"
            #expect(warnings.count == 1, "\(failed.errors)")
            #expect(warnings.first?.contains(beginning) == true, "\(failed.errors)")
            let last = try #require(failed.sentences.last)
            let reason = fault.hasPrefix("EIO") ? "Input/output error" : "No space left"
            let file = fault.hasSuffix("metrics") ? "metrics.jsonl" : "step-00000008"
            #expect(last.contains(reason) && last.contains(file), "\(last)")
            #expect(try bench.names(in: "run/checkpoints") == committed)

            let resumed = try train(
                bench, nil, resumption + ["training.steps=8"], ranks: ranks)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("resumed from the checkpoint of step 4"))
            #expect(try bench.state(8) == bench.state(8, of: "whole"))
            #expect(try metrics(of: "run", bench) == metrics(of: "whole", bench))
        }

        @Test(
            "a write of metrics that fails once loses no line",
            arguments: ["EIO-metrics", "ENOSPC-metrics", "short-metrics"], [0, 2])
        func failsOnce(fault: String, ranks: Int) throws {
            let bench = try Workbench()
            let whole = try train(bench, nil, bench.training(into: "whole"), ranks: ranks)
            try #require(whole.status == 0, "\(whole.errors)")
            let faults = try FaultInjector()
            try faults.request(fault)
            let outcome = try train(bench, faults, bench.training(), ranks: ranks)
            #expect(!faults.isPending(fault))
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.errors.contains(Self.metrics))
            #expect(outcome.errors.contains("metrics are written again, and none was lost"))
            #expect(try bench.state(6) == bench.state(6, of: "whole"))
            #expect(try metrics(of: "run", bench) == metrics(of: "whole", bench))
        }

        /// The kernel may have dropped the lines, and would report the next fsync as a success.
        @Test("a failed fsync of metrics ends the run before its checkpoint", arguments: [0, 2])
        func failedSynchronization(ranks: Int) throws {
            let bench = try Workbench()
            let faults = try FaultInjector()
            try faults.request("sync-metrics")
            let outcome = try train(bench, faults, bench.training(), ranks: ranks)
            #expect(outcome.status == 74, "\(outcome.errors)")
            #expect(outcome.output.isEmpty)
            let sentences = outcome.sentences.filter { $0.contains("Input/output error") }
            #expect(sentences.count == 1 && sentences == outcome.sentences.suffix(1))
            #expect(sentences.first?.contains("metrics.jsonl") == true)
            #expect(!bench.exists("run/checkpoints/step-00000002"))
        }
    }
}
