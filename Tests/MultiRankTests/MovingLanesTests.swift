import Foundation
import Synchronization
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that lanes move away from a slow rank, and that this changes no bit.
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

        /// The rank that was the slowest of a step, and its fraction of the lanes.
        private struct Slowest {
            let rank: Int
            let share: Double
        }

        /// Returns the slowest rank of each step in the log, or of those in its last bytes.
        private func slowest(_ run: RunResult, lastBytes: Int = .max) throws -> [Slowest] {
            let text = String(
                decoding: try Data(contentsOf: run.folder.appending(path: "metrics.jsonl"))
                    .suffix(lastBytes), as: UTF8.self)
            return text.matches(of: /"slowest_rank":(\d+),"slowest_rank_share":([\d.]+),/)
                .compactMap {
                    guard let rank = Int($0.1), let share = Double($0.2) else { return nil }
                    return Slowest(rank: rank, share: share)
                }
        }

        @Test("lanes move away from a rank with half the speed, without changing a bit")
        func slowRank() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe)
            let equal = bench.run("equal")
            let straight = try bench.train(
                [recipe, "--data", bench.data, "--set", "reduction.balance=off"], ranks: 2,
                into: equal)
            try #require(straight.status == 0, "\(straight.errors)")
            #expect(straight.errors.contains("the division stays equal"))
            let shares = try slowest(equal).map(\.share)
            #expect(shares == Array(repeating: 0.5, count: Self.steps), "no lane moved")

            let run = bench.run("moving")
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "2", "--", Workbench.lockstep, "train", recipe]
                    + ["--data", bench.data, "--out", run.folder.path])
            try job.wait(until: { run.stepsTaken >= 1 }, "the first step")
            let process = try #require(try Launch.ranks(of: run.folder.path)[1], "rank 1 runs")
            let brake = Brake(process)
            defer { brake.release() }
            try job.wait(
                until: {
                    usleep(50_000)
                    return try slowest(run, lastBytes: 2000).contains {
                        $0.rank == 1 && $0.share < 0.4
                    }
                },
                "lanes move from rank 1")
            brake.release()
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

/// Slows a process to about half its speed, by stopping it for 10 of every 20 milliseconds.
private final class Brake: Sendable {
    private let isReleased = Atomic(false)
    private let isDone = DispatchSemaphore(value: 0)

    init(_ process: Int32) {
        Thread.detachNewThread { [self] in
            while !isReleased.load(ordering: .relaxed) {
                kill(process, SIGSTOP)
                usleep(10_000)
                kill(process, SIGCONT)
                usleep(10_000)
            }
            isDone.signal()
        }
    }

    /// Lets the process run at its full speed again.
    func release() {
        guard !isReleased.exchange(true, ordering: .relaxed) else { return }
        isDone.wait()
    }
}
