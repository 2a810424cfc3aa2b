import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that a run that is killed and resumed on other rank counts ends with the bytes of an
    /// uninterrupted one.
    @Suite(.serialized) struct ResumeInvarianceTests {
        private static let steps = 1500

        private static let recipe = """
            \(Workbench.tinyModel)
            dropout = 0.1
            [training]
            steps = \(steps)
            global_batch = 12
            [optimizer]
            learning_rate = 1e-2
            [reduction]
            lanes = 12
            [evaluation]
            every = 300
            [checkpoint]
            every = 100
            """

        @Test(
            "a killed and resumed run has the bits of an uninterrupted one",
            arguments: [(2, 1), (2, 3), (4, 6)])
        func killedAndResumed(before: Int, after: Int) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("resume", Self.recipe)
            let whole = bench.run("uninterrupted")
            let straight = try bench.train(
                [recipe, "--data", bench.data], ranks: before, into: whole)
            try #require(straight.status == 0, "\(straight.errors)")

            let run = bench.run("killed")
            // The checkpoint of step 100 is complete when that of step 200 begins.
            let killStep = Int.random(in: 220..<500)
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                [
                    "--ranks", "\(before)", "--oversubscribe", "--", Workbench.lockstep, "train",
                    recipe, "--data", bench.data, "--out", run.folder.path,
                ])
            // The ranks are looked up first, because the run continues during the search.
            try job.wait(until: { run.stepsTaken >= 1 }, "the first step")
            let ranks = try Launch.ranks(of: run.folder.path)
            try #require(ranks.count == before, "the run used \(before) ranks")
            let victim = Int.random(in: 0..<before)
            let process = try #require(ranks[victim])
            try job.wait(until: { run.stepsTaken >= killStep }, "step \(killStep)")
            kill(process, SIGKILL)
            let status = job.waitUntilExit()
            #expect(status == 128 + SIGKILL, "rank \(victim) killed at step \(killStep)")
            try #require(run.stepsTaken < Self.steps, "it was killed before its end")

            let resumed = try bench.train(["--resume"], ranks: after, into: run)
            try #require(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("resumed from the checkpoint of step"))
            #expect(try run.rankCount(step: Self.steps) == after, "the run used \(after) ranks")
            #expect(try run.metrics() == whole.metrics(), "killed at step \(killStep)")
            #expect(
                try run.state(step: Self.steps) == whole.state(step: Self.steps),
                "killed at step \(killStep)")
        }

        /// A signal stops the run twice. Each time it checkpoints at the end of the step and exits
        /// with 75.
        @Test("a run that signals stopped resumes with the same bits")
        func stoppedBySignalsAndResumed() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("stop", Self.recipe)
            let whole = bench.run("uninterrupted")
            let straight = try bench.train(
                [recipe, "--data", bench.data], ranks: 2, into: whole)
            try #require(straight.status == 0, "\(straight.errors)")

            let run = bench.run("stopped")
            var arguments = [recipe, "--data", bench.data]
            for (ranks, step) in [(2, 230), (3, 600)] {
                let job = try BackgroundCommand(
                    "\(Launch.root)/launch/mpirun",
                    [
                        "--ranks", "\(ranks)", "--oversubscribe", "--", Workbench.lockstep, "train",
                        "--out", run.folder.path,
                    ] + arguments)
                try job.wait(until: { run.stepsTaken >= step }, "step \(step)")
                // The launcher turns this into SIGUSR1 for all ranks.
                job.send(SIGTERM)
                #expect(job.waitUntilExit() == 75)
                arguments = ["--resume"]
            }
            let last = try bench.train(arguments, ranks: 4, into: run)
            try #require(last.status == 0, "\(last.errors)")
            #expect(try run.metrics() == whole.metrics())
            #expect(try run.state(step: Self.steps) == whole.state(step: Self.steps))
        }
    }
}
