import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that a run that is asked to stop checkpoints at the end of its step, exits with 75 and
    /// can be resumed.
    @Suite(.serialized) struct SignalTests {
        /// The processes that get a signal.
        enum Way: String, CaseIterable, Sendable {
            case mpirun, launcher, alone, interrupted, hungUp, blocked
            /// SIGTERM goes to one rank, to both, or to the launcher, mpirun and ranks at once.
            case oneRank, allRanks, everyProcess
        }

        @Test("a run whose messages cannot be written checkpoints when asked to")
        func unwritableMessages() throws {
            let bench = try Workbench()
            let script = """
                run=$1; shift
                "$@" >/dev/full 2>/dev/full & child=$!
                for i in $(seq 200); do [ -s "$run/metrics.jsonl" ] && break; sleep 0.1; done
                kill -TERM $child; wait $child
                """
            let training = bench.training(
                set: "training.steps=1000000", "evaluation.every=0", "checkpoint.every=0")
            let outcome = try Launch.run(
                "bash",
                [
                    "-c", script, "bash", bench.path("run"), "\(Launch.root)/launch/mpirun",
                    "--ranks", "2", "--oversubscribe", "--", Workbench.lockstep,
                ] + training, seconds: 60)
            #expect(outcome.status == 75)
            try expectResumable(bench)
        }

        @Test("a run whose terminal is closed checkpoints and can be resumed")
        func closedTerminal() throws {
            let bench = try Workbench()
            let script = """
                run=$1; shift
                printf -v quoted '%q ' "$@"
                # An interactive shell passes the hangup on to its job.
                inner="$quoted & job=\\$!; trap 'kill -HUP \\$job' HUP; wait \\$job; wait \\$job
                    echo \\$? >\\"$run.status\\""
                SHELL=/bin/bash script -qec "$inner" /dev/null >/dev/null 2>&1 & terminal=$!
                await() { for i in $(seq 300); do "$@" && return; sleep 0.1; done; exit 1; }
                await test -s "$run/metrics.jsonl"
                kill -KILL $terminal
                await test -s "$run.status"
                exit "$(cat "$run.status")"
                """
            let outcome = try Launch.run(
                "bash",
                [
                    "-c", script, "bash", bench.path("run"), "\(Launch.root)/launch/mpirun",
                    "--ranks", "2", "--oversubscribe", "--", Workbench.lockstep,
                ]
                    + bench.training(
                        set: "training.steps=1000000", "evaluation.every=0", "checkpoint.every=0"),
                seconds: 60)
            #expect(outcome.status == 75, "\(outcome.errors)")
            try expectResumable(bench)
        }

        @Test("a run that gets a signal checkpoints and can be resumed", arguments: Way.allCases)
        func checkpointsAndIsResumed(way: Way) throws {
            let bench = try Workbench()
            let steps = 1_000_000
            let arguments = bench.training(
                set: "training.steps=\(steps)", "checkpoint.every=0", "evaluation.every=0")
            let job: BackgroundCommand
            switch way {
            case .mpirun:
                job = try BackgroundCommand(
                    "mpirun",
                    ["--quiet", "--oversubscribe", "-n", "2", Workbench.lockstep] + arguments)
            case .launcher, .oneRank, .allRanks, .everyProcess:
                job = try BackgroundCommand(
                    "\(Launch.root)/launch/mpirun",
                    ["--ranks", "2", "--oversubscribe", "--", Workbench.lockstep] + arguments)
            case .alone, .interrupted, .hungUp:
                job = try BackgroundCommand(Workbench.lockstep, arguments)
            case .blocked:
                job = try BackgroundCommand(
                    "env", ["--block-signal=USR1,TERM", Workbench.lockstep] + arguments)
            }
            try job.wait { (try? bench.metrics().count) ?? 0 > 20 }
            switch way {
            case .mpirun: job.send(SIGUSR1)
            case .interrupted: job.send(SIGINT)
            case .hungUp: job.send(SIGHUP)
            case .launcher, .alone, .blocked: job.send(SIGTERM)
            case .oneRank, .allRanks, .everyProcess:
                let ranks = try Launch.processes(
                    naming: bench.path("run"), program: Workbench.lockstep)
                try #require(ranks.count == 2, "the run used 2 ranks")
                let chosen =
                    way == .oneRank
                    ? Array(ranks.suffix(1))
                    : way == .allRanks ? ranks : try Launch.processes(naming: bench.path("run"))
                #expect(way != .everyProcess || chosen.count >= 4)
                for process in chosen { kill(process, SIGTERM) }
            }
            let (status, output) = try job.finish()
            #expect(status == 75)
            let match = try #require(output.firstMatch(of: /checkpointed at step ([0-9]+) because/))
            let step = try #require(Int(match.1))
            #expect(try bench.names(in: "run/checkpoints") == [checkpointName(step)])
            let last = try bench.metrics().last
            #expect(last?["step"] as? Int == step, "no step after the checkpoint")

            let resumed = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), "--set",
                "training.steps=\(step + 3)")
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(resumed.errors.contains("resumed from the checkpoint of step \(step)"))
            let trained = try bench.metrics().filter { $0["loss"] != nil }
            #expect(trained.compactMap { $0["step"] as? Int } == Array(1...step + 3))
        }

        /// A benchmark has no state to keep.
        @Test("a benchmark that gets a signal ends at once")
        func benchmarksEndAtOnce() throws {
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                [
                    "--ranks", "2", "--oversubscribe", "--", Workbench.lockstep, "bench", "step",
                    "--size", "char", "--steps", "1000000",
                ])
            usleep(1_500_000)
            job.send(SIGTERM)
            let (status, output) = try job.finish()
            #expect(status == 75 && output.isEmpty)
        }

        /// Expects that no process uses the run, that its only checkpoint is that of its last step,
        /// and that it can be resumed.
        private func expectResumable(_ bench: Workbench) throws {
            #expect(try Launch.processes(naming: bench.path("run")).isEmpty)
            let step = try #require(try bench.metrics().last?["step"] as? Int)
            #expect(try bench.names(in: "run/checkpoints") == [checkpointName(step)])
            let resumed = try bench.lockstep(
                "train", "--resume", "--out", bench.path("run"), "--set",
                "training.steps=\(step + 2)")
            #expect(resumed.status == 0, "\(resumed.errors)")
        }

        private func checkpointName(_ step: Int) -> String {
            URL(filePath: Workbench.checkpoint(step)).lastPathComponent
        }
    }
}
