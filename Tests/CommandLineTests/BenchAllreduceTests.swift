import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the output and the errors of `lockstep bench allreduce`.
    @Suite(.serialized) struct BenchAllreduceTests {
        private func run(
            ranks: Int, _ arguments: [String], environment: [String: String] = [:]
        ) throws -> Outcome {
            try Launch.run(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "\(ranks)", "--oversubscribe", "--", Workbench.lockstep]
                    + ["bench", "allreduce"] + arguments, environment: environment)
        }

        /// The command checks every sum that it measures.
        @Test(
            "the JSON output has both algorithms for every size",
            arguments: [(2, 1, "fp32"), (4, 2, "bf16"), (3, 3, "fp32")])
        func jsonHasBothAlgorithmsForEverySize(ranks: Int, hosts: Int, wire: String) throws {
            let outcome = try run(
                ranks: ranks, ["--sizes", "64k,4k", "--wire", wire, "--json"],
                environment: ["LOCKSTEP_RANKS_PER_NODE": "\(ranks / hosts)"])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let lines = outcome.output.split(separator: "\n")
            try #require(lines.count == 1, "one line for all ranks")
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])
            #expect(report["ranks"] as? Int == ranks)
            #expect(report["hosts"] as? Int == hosts)
            #expect(report["threads_per_rank"] as? Int == 1)
            #expect(report["wire"] as? String == wire)
            let sizes = try #require(report["sizes"] as? [[String: Any]])
            #expect(sizes.map { $0["bytes"] as? Int } == [4096, 65536])
            for size in sizes {
                func number(_ name: String) throws -> Double {
                    try #require(size[name] as? Double, "\(name)")
                }
                let bytes = try number("bytes")
                let seconds = try number("seconds")
                let peer = try number("mpi_seconds")
                #expect(seconds > 0 && peer > 0)
                #expect(try number("repetitions") >= 5)
                #expect(try abs(number("gb_per_second") * seconds * 1e9 / bytes - 1) < 1e-9)
                #expect(try abs(number("mpi_gb_per_second") * peer * 1e9 / bytes - 1) < 1e-9)
                #expect(try abs(number("ratio") * seconds / peer - 1) < 1e-9)
            }
        }

        @Test("the table has a line for every size")
        func theTableHasALineForEverySize() throws {
            let outcome = try run(ranks: 2, ["--maximum", "16k"])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let lines = outcome.output.split(separator: "\n").map(String.init)
            try #require(lines.count == 6, "\(outcome.output)")
            #expect(lines[0] == "summing fp32 over 2 ranks; medians, alternating")
            #expect(lines[1].contains("MPI_Allreduce"))
            for (line, size) in zip(lines[2...], ["4.0 KiB", "8.0 KiB", "16.0 KiB"]) {
                #expect(line.drop { $0 == " " }.hasPrefix(size), "\(line)")
                #expect(line.count == lines[1].count)
            }
        }

        @Test(
            "mistakes are refused",
            arguments: [
                (["--sizes", "5x"], "--sizes 5x: is not a size"),
                (["--sizes", ""], "--sizes : is not a size"),
                (["--sizes", "100"], "--sizes 100: must be a multiple of 64 bytes"),
                (["--sizes", "8g"], "at most 4g"),
                (["--maximum", "1k"], "--maximum 1k: must be at least 4k"),
                (["--wire", "fp16"], "--wire fp16: must be fp32 or bf16"),
                (["--threads-per-rank", "0"], "--threads-per-rank 0:"),
                (["--size", "4k"], "--size"),
                ([], "bench allreduce: measures an exchange between ranks"),
            ] as [([String], String)])
        func mistakesAreRefused(arguments: [String], words: String) throws {
            let outcome = try Launch.run(Workbench.lockstep, ["bench", "allreduce"] + arguments)
            expectRefusal(outcome, 64, [words])
        }
    }
}
