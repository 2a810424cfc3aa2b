import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that branches of a run have the same results on any layout, killed or not.
    @Suite(.serialized) struct BranchInvarianceTests {
        private static let recipe = """
            \(Workbench.tinyModel)
            dropout = 0.1
            [training]
            steps = 60
            global_batch = 12
            [optimizer]
            learning_rate = 1e-2
            sharded = true
            [schedule]
            name = "constant"
            warmup_steps = 0
            [reduction]
            lanes = 4
            [evaluation]
            every = 20
            windows = 7
            [checkpoint]
            every = 20
            keep = 0
            """

        private static let files = [
            "branches.csv", "branches.json", "branches.jsonl", "report.html",
        ]

        private func results(_ folder: URL) throws -> [Data] {
            try Self.files.map { try Data(contentsOf: folder.appending(path: $0)) }
        }

        private func arguments(_ run: RunResult, out: URL, layout: Layout) -> [String] {
            [
                "--ranks", "\(layout.ranks)", "--threads", "\(layout.threads)",
                "--oversubscribe", "--", Workbench.lockstep, "branch", run.folder.path, "--out",
                out.path, "--checkpoints", "20,40", "--tokens", "9600", "--repeats", "2",
                "--batches", "0.5,1,2,4",
            ]
        }

        @Test("layouts and kills do not change a byte of branches")
        func layoutsAndKills() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let run = bench.run("trunk")
            let recipe = try bench.recipe("trunk", Self.recipe)
            let trained = try bench.train(
                [recipe, "--data", bench.data], ranks: 3, into: run)
            try #require(trained.status == 0, "\(trained.errors)")
            var expected: [Data]?
            for layout in [Layout(1), Layout(2, threads: 2), Layout(3), Layout(4, perHost: 2)] {
                let folder = URL(filePath: bench.path("\(layout)"))
                let outcome = try Launch.run(
                    "\(Launch.root)/launch/mpirun", arguments(run, out: folder, layout: layout),
                    environment: layout.environment)
                try #require(outcome.status == 0, "\(outcome.errors)")
                let ranks = "\(layout.ranks) rank\(layout.ranks == 1 ? "" : "s")"
                #expect(
                    outcome.errors.contains("on \(ranks) x \(layout.threads) thread"),
                    "the run used \(layout)")
                let found = try results(folder)
                #expect(found == expected ?? found, "\(layout)")
                expected = expected ?? found
            }
            try killAndResume(bench, run, expected: try #require(expected))
        }

        private func killAndResume(
            _ bench: Workbench, _ run: RunResult, expected: [Data]
        ) throws {
            let folder = URL(filePath: bench.path("killed"))
            func lines() -> Int {
                let text = try? String(
                    contentsOf: folder.appending(path: "branches.jsonl"), encoding: .utf8)
                return text?.split(separator: "\n").count ?? 0
            }
            var command = arguments(run, out: folder, layout: Layout(2))
            // The last start is stopped by a signal to one rank alone.
            for (ranks, signal, next) in [(2, SIGKILL, 3), (3, SIGUSR1, 2)] {
                let goal = lines() + Int.random(in: 2...4)
                let job = try BackgroundCommand("\(Launch.root)/launch/mpirun", command)
                try job.wait(until: { lines() >= goal }, "\(goal) branches that have ended")
                let processes = try Launch.ranks(of: folder.path)
                try #require(processes.count == ranks, "the run used \(ranks) ranks")
                kill(try #require(processes.values.randomElement()), signal)
                #expect(job.waitUntilExit() == (signal == SIGKILL ? 128 + SIGKILL : 75))
                try #require(lines() < 16, "it was stopped before its end")
                command = [
                    "--ranks", "\(next)", "--oversubscribe", "--", Workbench.lockstep, "branch",
                    "--resume", "--out", folder.path,
                ]
            }
            let resumed = try Launch.run("\(Launch.root)/launch/mpirun", command)
            try #require(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("have already ended"))
            #expect(resumed.errors.contains("on 2 ranks"), "the run used 2 ranks")
            #expect(try results(folder) == expected)
        }
    }
}
