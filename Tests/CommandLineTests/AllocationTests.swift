import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the heap allocations of warm steps.
    @Suite(.serialized) struct AllocationTests {
        @Test(
            "a warm step allocates nothing",
            arguments: [
                (1, []), (2, []), (2, ["--set", "training.recompute=true"]),
                (2, ["--set", "optimizer.name=lamb"]), (1, ["--set", "optimizer.name=lars"]),
                (2, ["--precision", "bf16", "--emulate-bf16"]),
            ] as [(Int, [String])])
        func aWarmStepAllocatesNothing(ranks: Int, options: [String]) throws {
            // LD_PRELOAD is a list of words.
            let folder = try TemporaryFolder(hasSpace: false)
            let counter = "\(folder.path)/counter.so"
            let compiled = try Launch.run(
                "clang",
                [
                    "-shared", "-fPIC", "-O1", "-o", counter,
                    "\(Launch.root)/Tests/AllocationCounter/counter.c",
                ])
            try #require(compiled.status == 0, "\(compiled.errors)")

            // The start and the end allocate the same for any number of steps.
            let (few, many) = (20, 220)
            let counts = try [few, many].map { steps in
                try allocations(
                    steps: steps, ranks: ranks, counter: counter, options: options)
            }
            let (fewest, most) = (counts[0], counts[1])
            try #require(fewest.count == ranks && most.count == ranks)
            for (less, more) in zip(fewest.sorted(), most.sorted()) {
                #expect(less > 1000, "the counter counts")
                // The number of allocations in MPI's own start varies a little between runs.
                #expect(abs(more - less) < 40, "\(Double(more - less) / 200) allocations a step")
            }
        }

        /// Returns the number of heap allocations of each rank in a benchmark of `steps` steps.
        private func allocations(
            steps: Int, ranks: Int, counter: String, options: [String]
        ) throws -> [Int] {
            let outcome = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                [
                    "--ranks", "\(ranks)", "--oversubscribe", "--", "env",
                    "LD_PRELOAD=\(counter)", Workbench.lockstep, "bench", "step", "--size", "char",
                    "--set", "model.layers=2", "--set", "training.global_batch=\(2 * ranks)",
                    // A change of the lanes' division allocates memory.
                    "--set", "reduction.balance=off", "--steps", "\(steps)",
                ] + options, environment: ["LOCKSTEP_PROGRESS": "none"])
            try #require(outcome.status == 0, "\(outcome.errors)")
            return outcome.errors.matches(of: /allocations ([0-9]+)/).compactMap { Int($0.1) }
        }
    }
}
