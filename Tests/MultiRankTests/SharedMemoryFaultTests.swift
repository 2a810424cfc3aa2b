import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests of faults in the memory that the ranks of a host share.
    @Suite(.serialized) struct SharedMemoryFaultTests {
        private static func recipe(steps: Int) -> String {
            """
            \(Workbench.tinyModel)
            [training]
            steps = \(steps)
            global_batch = 12
            [evaluation]
            every = 0
            [checkpoint]
            every = 0
            """
        }

        private static let canMount: Bool = {
            let mount = ["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/dev/shm"]
            return (try? Launch.run("unshare", mount).status) == 0
        }()

        /// The others wait in shared memory for a rank that is stopped. Once it is killed they end,
        /// and no memory stays allocated.
        @Test("a killed rank ends the ranks that wait for it", arguments: [0, 2])
        func killedRankEndsWaitingRanks(victim: Int) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe(steps: 1_000_000))
            let shared = URL(filePath: "/dev/shm/lockstep-test-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: shared, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: shared) }
            let run = bench.run("run")
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                [
                    "--ranks", "3", "--oversubscribe", "--", Workbench.lockstep, "train", recipe,
                    "--data", bench.data, "--out", run.folder.path,
                ],
                environment: [
                    "OMPI_MCA_osc_sm_backing_directory": shared.path,
                    "OMPI_MCA_btl_vader_backing_directory": shared.path,
                ])
            try job.wait(until: { run.stepsTaken >= 20 }, "step 20")
            let ranks = try Launch.ranks(of: run.folder.path)
            try #require(ranks.count == 3, "the run used 3 ranks")
            let inUse = try FileManager.default.contentsOfDirectory(atPath: shared.path)
            #expect(!inUse.isEmpty, "the ranks share memory here")
            kill(try #require(ranks[victim]), SIGSTOP)
            // The other ranks take no step without it.
            var before = -1
            try job.wait(
                until: {
                    usleep(300_000)
                    defer { before = run.stepsTaken }
                    return run.stepsTaken == before
                }, "standstill")
            kill(try #require(ranks[victim]), SIGKILL)
            #expect(job.waitUntilExit() == 128 + SIGKILL)
            // Killed processes may take a moment to disappear.
            for _ in 0..<50 where try !Launch.ranks(of: run.folder.path).isEmpty { usleep(100_000) }
            #expect(try Launch.ranks(of: run.folder.path).isEmpty)
            let left = try FileManager.default.contentsOfDirectory(atPath: shared.path)
            #expect(left.isEmpty, "\(left)")
        }

        /// A container may have a small /dev/shm. Ranks then send messages, and one line says why.
        @Test(
            "a small file system is reported once, and the run has the same bits",
            .enabled(if: canMount, "root cannot mount here"))
        func smallFileSystemIsReportedOnce() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe(steps: 4))
            let arguments = [
                "--ranks", "2", "--oversubscribe", "--", Workbench.lockstep, "train", recipe,
                "--data", bench.data, "--out",
            ]
            let roomy = bench.run("roomy")
            let first = try Launch.run(
                "\(Launch.root)/launch/mpirun", arguments + [roomy.folder.path])
            try #require(first.status == 0, "\(first.errors)")
            #expect(!first.errors.contains("instead of sharing memory"))
            let cramped = bench.run("cramped")
            let script = "mount -t tmpfs -o size=16m tmpfs /dev/shm && exec \"$0\" \"$@\""
            let second = try Launch.run(
                "unshare",
                ["--mount", "sh", "-c", script, "\(Launch.root)/launch/mpirun"] + arguments
                    + [cramped.folder.path])
            try #require(second.status == 0, "\(second.errors)")
            let notices = second.errors.split(separator: "\n").filter {
                $0.contains("exchange messages instead of sharing memory: /dev/shm has")
            }
            #expect(notices.count == 1, "\(second.errors)")
            for run in [roomy, cramped] { #expect(try run.rankCount(step: 4) == 2) }
            #expect(try cramped.metrics() == roomy.metrics())
            #expect(try cramped.state(step: 4) == roomy.state(step: 4))
        }
    }
}
