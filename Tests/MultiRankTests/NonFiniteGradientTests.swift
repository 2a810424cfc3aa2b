import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that all ranks skip a step together if one rank's gradient has a value that is not a
    /// number.
    @Suite(.serialized) struct NonFiniteGradientTests {
        /// Every rank counts as a host of its own, so it sends its gradient once per step to the
        /// last rank, which has no gradient to send.
        @Test("a NaN in one rank's gradient is skipped by all ranks, with the same bytes")
        func nanOnOneRank() throws {
            let bench = try Workbench()
            var first = FirstRun()
            for (ranks, victim, isSharded) in [
                (2, 0, false), (3, 0, false), (3, 1, false), (4, 2, false), (2, 0, true),
                (3, 1, true),
            ] {
                let name = "\(ranks) ranks, NaN on rank \(victim)\(isSharded ? ", sharded" : "")"
                let run = bench.run(name)
                let faults = try FaultInjector()
                try faults.request("nan-\(victim)")
                let outcome = try Launch.run(
                    "\(Launch.root)/launch/mpirun",
                    ["--ranks", "\(ranks)", "--oversubscribe", "--"] + faults.prefix
                        + ["LOCKSTEP_NAN_MESSAGE=9", "LOCKSTEP_RANKS_PER_NODE=1"]
                        + [Workbench.lockstep]
                        + bench.training(
                            into: name, set: "training.steps=12", "checkpoint.compare_every=1",
                            "optimizer.sharded=\(isSharded)"))
                // The parameters are compared after every step.
                #expect(outcome.status == 0, "\(name): \(outcome.errors)")
                #expect(!faults.isPending("nan-\(victim)"), "\(name)")
                let warnings = outcome.sentences.filter { $0.contains("skipped: its loss is") }
                #expect(warnings.count == 1, "\(outcome.errors)")
                #expect(
                    warnings.first?.contains("step 9 skipped") == true
                        && warnings.first?.contains("gradient norm is not a number") == true)
                #expect(try run.rankCount(step: 12) == ranks)
                let lines = try first.expectSame(run, steps: [12], name)
                let skipped = lines.filter { $0.contains("\"gradient_norm\":null") }
                #expect(skipped.count == 1)
                #expect(skipped.first?.hasPrefix("{\"step\":9,") == true)
            }
        }
    }
}
