import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that lanes move away from a rank whose core is shared with another process, and that
    /// this changes no bit.
    @Suite(.serialized) struct MovingLanesTests {
        private static let steps = 600

        private static let recipe = """
            [model]
            layers = 2
            heads = 2
            width = 64
            context_length = 32
            [training]
            steps = \(steps)
            global_batch = 32
            [optimizer]
            learning_rate = 1e-3
            [reduction]
            lanes = 16
            [evaluation]
            every = 0
            windows = 16
            [checkpoint]
            every = 0
            best = false
            """

        /// The number of lanes of a rank while it is the slowest, by step.
        private struct Slowest {
            let rank: Int
            let share: Double
        }

        private func slowest(_ run: RunResult) throws -> [Slowest] {
            let text = try String(
                contentsOf: run.folder.appending(path: "metrics.jsonl"), encoding: .utf8)
            // The last line may be incomplete.
            return try text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
                .compactMap { line in
                    let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
                    guard let fields = object as? [String: Any],
                        let rank = fields["slowest_rank"] as? Int,
                        let share = fields["slowest_rank_share"] as? Double
                    else { return nil }
                    return Slowest(rank: rank, share: share)
                }
        }

        @Test("lanes move away from a rank that shares its core, without changing a bit")
        func competitor() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let equal = bench.run("equal")
            let straight = try bench.train(
                [recipe, "--data", bench.data, "--set", "reduction.balance=off"], ranks: 2,
                into: equal)
            try #require(straight.status == 0, "\(straight.errors)")
            #expect(straight.errors.contains("the division stays equal"))
            #expect(try slowest(equal).allSatisfy { $0.share == 0.5 }, "no lane moved")

            let run = bench.run("moving")
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "2", "--", Workbench.lockstep, "train", recipe]
                    + ["--data", bench.data, "--out", run.folder.path])
            try job.wait(until: { run.stepsTaken >= 1 }, "the first step")
            let process = try #require(try Launch.ranks(of: run.folder.path)[1], "rank 1 runs")
            let affinity = try Launch.run("taskset", ["-pc", "\(process)"]).output
            let cores = try #require(affinity.split(whereSeparator: \.isWhitespace).last)
            let busy = try BackgroundCommand(
                "taskset", ["-c", String(cores), "sh", "-c", "while :; do :; done"])
            defer { busy.send(SIGKILL) }
            try job.wait(
                until: { try slowest(run).contains { $0.rank == 1 && $0.share < 0.4 } },
                "lanes move from rank 1")
            job.send(SIGTERM)
            #expect(job.waitUntilExit() == 75)
            try #require(run.stepsTaken < Self.steps, "it was stopped before its end")

            let resumed = try bench.train(["--resume"], ranks: 3, into: run)
            try #require(resumed.status == 0, "\(resumed.errors)")
            #expect(try run.rankCount(step: Self.steps) == 3, "the run used 3 ranks")
            #expect(try run.metrics() == equal.metrics())
            #expect(try run.state(step: Self.steps) == equal.state(step: Self.steps))
        }
    }
}
