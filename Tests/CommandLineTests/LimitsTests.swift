import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the limits on a rank's memory, threads and cores.
    @Suite(.serialized) struct LimitsTests {
        /// The arguments are the limit on virtual memory in KiB and the options of a benchmark.
        @Test(
            "memory and threads that the system refuses cause one sentence",
            arguments: [
                (600_000, ["--size", "baby"], 0, "MiB of memory: cannot be allocated"),
                (500_000, ["--size", "char", "--threads-per-rank", "64"], 0, "cannot be started"),
                (600_000, ["--size", "baby"], 2, "MiB of memory: cannot be allocated"),
            ])
        func refusedMemoryAndThreadsCauseOneSentence(
            kibibytes: Int, options: [String], ranks: Int, words: String
        ) throws {
            let launcher =
                ranks == 0
                ? []
                : ["\(Launch.root)/launch/mpirun", "--ranks", "\(ranks)", "--oversubscribe", "--"]
            let limited = ["bash", "-c", "ulimit -v \(kibibytes); exec \"$@\"", "bash"]
            let outcome = try Launch.run(
                "env",
                launcher + limited + [Workbench.lockstep, "bench", "step", "--steps", "1"]
                    + options)
            #expect(outcome.status == 78)
            #expect(outcome.errors.contains("lockstep: "))
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
            #expect(!outcome.errors.contains("Fatal error") && outcome.output.isEmpty)
        }

        @Test(
            "each thread has its own core",
            .enabled(if: ProcessInfo.processInfo.activeProcessorCount >= 2, "one core alone"))
        func eachThreadHasItsOwnCore() throws {
            let job = try BackgroundCommand(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "1", "--threads", "2", "--", Workbench.lockstep]
                    + ["bench", "step", "--size", "char", "--steps", "1000000"])
            var cores: Set<String> = []
            try job.wait {
                // The rank is the launcher's grandchild.
                let lists = try Launch.run(
                    "sh",
                    [
                        "-c",
                        """
                        for rank in $(pgrep -P "$(pgrep -d, -P \(job.identifier))"); do
                            sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/$rank/task/*/status
                        done
                        """,
                    ])
                cores = Set(
                    lists.output.split(separator: "\n").map(String.init).filter {
                        Int($0) != nil
                    })
                return cores.count >= 2
            }
            job.send(SIGTERM)
            #expect(try job.finish().status == 75)
            #expect(cores.count == 2, "\(cores)")
        }
    }
}
