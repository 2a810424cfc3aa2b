import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that a full disk prevents new checkpoints, keeps the existing ones, and ends a run
    /// only at its last step.
    @Suite(.serialized) struct FullDiskTests {
        @Test(
            "a full disk keeps existing checkpoints, and the run continues to its last step",
            .enabled("needs root, to mount a small file system") { SmallDisk.isPossible },
            arguments: [0, 2])
        func aFullDisk(ranks: Int) throws {
            let bench = try Workbench()
            // A checkpoint has 68 KiB, so two of them fit, but not a third.
            try SmallDisk.with(size: "184k", at: bench.path("disk")) {
                let arguments = bench.training(
                    into: "disk/run", set: "training.steps=10", "checkpoint.keep=0",
                    "checkpoint.best=false")
                let outcome = try bench.lockstep(arguments, ranks: ranks)
                #expect(outcome.status == 74, "\(outcome.errors)")
                #expect(outcome.output.isEmpty)
                let warnings = outcome.sentences.filter {
                    $0.hasPrefix("lockstep: warning: no checkpoint at step")
                }
                #expect(warnings.count == 1, "\(outcome.errors)")
                #expect(warnings.first?.contains("at step 6") == true, "and none at step 8")
                #expect(warnings.first?.contains("No space left on device") == true)
                let last = try #require(outcome.sentences.last)
                #expect(last.contains("step-00000010") && last.contains("No space left"))
                #expect(outcome.sentences.count { $0.contains("step-00000010") } == 1)
                // The training continued after the warning, and the existing checkpoints are
                // intact.
                let steps = try bench.metrics(of: "disk/run").compactMap { $0["step"] as? Int }
                #expect(steps.max() == 10)
                #expect(
                    try bench.names(in: "disk/run/checkpoints")
                        == ["step-00000002", "step-00000004"])
                try resume(bench, ranks: ranks)
            }
        }

        /// Resumes the run from its last checkpoint to its end once the disk has room again.
        private func resume(_ bench: Workbench, ranks: Int) throws {
            try FileManager.default.removeItem(
                atPath: bench.path(Workbench.checkpoint(2, of: "disk/run")))
            let resumed = try bench.lockstep(
                "train", "--resume", "--out", bench.path("disk/run"), "--set", "training.steps=8",
                "--set", "checkpoint.every=0", ranks: ranks)
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("resumed from the checkpoint of step 4"))
            #expect(
                try bench.names(in: "disk/run/checkpoints") == ["step-00000004", "step-00000008"])
        }

        @Test(
            "tokenization on a full disk leaves nothing",
            .enabled("needs root, to mount a small file system") { SmallDisk.isPossible })
        func tokenizingOntoAFullDiskLeavesNothing() throws {
            let bench = try Workbench()
            try bench.write(String(repeating: Workbench.text, count: 40), to: "long.txt")
            try SmallDisk.with(size: "64k", at: bench.path("disk")) {
                let outcome = try bench.lockstep(
                    "tokenize", bench.path("long.txt"), "--out", bench.path("disk/data"))
                expectRefusal(
                    outcome, 74, ["No space left on device"], after: ["lockstep: tokenizing "])
                #expect(try bench.names(in: "disk").isEmpty)
            }
        }
    }
}
