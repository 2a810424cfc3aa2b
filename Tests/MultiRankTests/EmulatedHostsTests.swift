import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests of training on several hosts that share no memory and communicate over TCP.
    ///
    /// The tests need root and a kernel that lets it make network namespaces. Without them they are
    /// skipped, and the report says so.
    @Suite(.serialized) struct EmulatedHostsTests {
        private static let steps = ReductionInvarianceTests.steps

        /// The run has two hosts of two ranks with two threads each, sharded and not, and resumes
        /// on one rank.
        @Test(
            "the number of hosts does not change a bit",
            .enabled(
                if: EmulatedCluster.isPossible, "root cannot make network namespaces here"),
            arguments: ["fp32", "bf16"])
        func hostsDoNotChangeABit(wire: String) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", ReductionInvarianceTests.recipe(wire: wire))
            let alone = bench.run("alone")
            let reference = try bench.train(
                [recipe, "--data", bench.data], ranks: 1, into: alone)
            try #require(reference.status == 0, "\(reference.errors)")

            let name = "t\(getpid())\(wire)"
            defer { _ = try? Launch.run(EmulatedCluster.script, ["down", "--name", name]) }
            let up = try Launch.run(EmulatedCluster.script, ["up", "2", "--name", name])
            try #require(up.status == 0, "\(up.errors)")
            for sharded in [false, true] {
                let run = bench.run("sharded \(sharded)")
                let outcome = try Launch.run(
                    EmulatedCluster.script,
                    ["run", "--name", name, "--slots", "2", "--ranks", "4", "--threads", "2"]
                        + ["--", Workbench.lockstep, "train", recipe, "--data", bench.data]
                        + ["--out", run.folder.path, "--set", "optimizer.sharded=\(sharded)"])
                try #require(outcome.status == 0, "\(outcome.errors)")
                #expect(outcome.errors.contains("4 ranks x 2 threads on 2 hosts"))
                #expect(try run.rankCount(step: Self.steps) == 4, "the run used 4 ranks")
                #expect(try run.metrics() == alone.metrics(), "sharded: \(sharded)")
                #expect(
                    try run.state(step: Self.steps) == alone.state(step: Self.steps),
                    "sharded: \(sharded)")
            }
        }
    }
}
