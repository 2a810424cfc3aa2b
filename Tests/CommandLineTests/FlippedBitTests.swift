import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests that a bit that flips in the memory of one rank is found.
    @Suite(.serialized) struct FlippedBitTests {
        @Test(
            "a bit that flips in a rank's parameters is found, with tensor and rank",
            arguments: [false, true])
        func flippedBit(isSharded: Bool) throws {
            let bench = try Workbench()
            let errors = bench.path("errors.txt")
            let job = try BackgroundCommand(
                "sh",
                [
                    "-c", "exec \"$0\" \"$@\" 2>'\(errors)'", "\(Launch.root)/launch/mpirun",
                    "--ranks", "3", "--oversubscribe", "--", Workbench.lockstep,
                ] + bench.training() + settings(isSharded, steps: 1_000_000, every: 10))
            try flip(in: bench, job, step: 10)
            #expect(job.waitUntilExit() == 74)
            let text = try String(contentsOfFile: errors, encoding: .utf8)
            let host = ProcessInfo.processInfo.hostName
            if isSharded {
                // The ranks share the parameters, so the rank that updates them finds the flip.
                #expect(
                    text.contains(
                        /the parameters: changed in [^;]*h\.0\.mlp\.c_fc\.weight[^;]* between two updates/
                    ), "\(text)")
                return
            }
            #expect(
                text.contains(
                    "the parameters: differ in h.0.mlp.c_fc.weight, which rank 1 on \(host) has "
                        + "unlike most ranks"), "\(text)")
        }

        @Test(
            "a supervised run in which a bit flips ends with the same bytes",
            arguments: [false, true])
        func supervisedFlip(isSharded: Bool) throws {
            let bench = try Workbench()
            let steps = 1500
            let settings = settings(isSharded, steps: steps, every: 100)
            try #require(
                try bench.lockstep(bench.training(into: "alone") + settings).status == 0)
            let errors = bench.path("errors.txt")
            let job = try BackgroundCommand(
                "sh",
                [
                    "-c", "exec \"$0\" \"$@\" 2>'\(errors)'", "\(Launch.root)/launch/supervise",
                    "--ranks", "3", "--oversubscribe", "--backoff", "1", "--", Workbench.lockstep,
                ] + bench.training() + settings)
            try flip(in: bench, job, step: 100)
            #expect(job.waitUntilExit() == 0)
            let text = try String(contentsOfFile: errors, encoding: .utf8)
            #expect(
                text.contains("the run ended with code 74 at the checkpoint of step "), "\(text)")
            #expect(try bench.state(steps) == bench.state(steps, of: "alone"))
        }

        /// Returns the settings of a run whose rate is too small to change a parameter, so that the
        /// memory of its ranks equals each checkpoint.
        private func settings(_ isSharded: Bool, steps: Int, every: Int) -> [String] {
            [
                "training.steps=\(steps)", "checkpoint.every=\(every)",
                "checkpoint.compare_every=\(every)", "evaluation.every=0",
                "optimizer.learning_rate=1e-30", "optimizer.weight_decay=0",
                "schedule.minimum_learning_rate=0", "optimizer.sharded=\(isSharded)",
                // Blocks of parameters that are checked together hold few tensors.
                "model.width=192",
            ].flatMap { ["--set", $0] }
        }

        /// Flips a bit of a tensor in the memory of rank 1 of 3, after a checkpoint.
        private func flip(in bench: Workbench, _ job: BackgroundCommand, step: Int) throws {
            let model = bench.path("\(Workbench.checkpoint(step))/model.safetensors")
            try job.wait { FileManager.default.fileExists(atPath: model) }
            let pattern = try bytes(of: "h.0.mlp.c_fc.weight", in: model)
            let ranks = try Launch.ranks(of: bench.path("run"))
            try #require(ranks.count == 3, "the run has 3 ranks")
            #expect(try flip(pattern, in: #require(ranks[1])) > 0)
        }

        /// Returns the first 64 bytes of a tensor in a safetensors file.
        private func bytes(of tensor: String, in path: String) throws -> Data {
            let file = try Data(contentsOf: URL(filePath: path))
            let length = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
            let header = try JSONSerialization.jsonObject(with: file[8..<8 + length])
            let tensors = try #require(header as? [String: Any])
            let entry = try #require(tensors[tensor] as? [String: Any])
            let start = try #require((entry["data_offsets"] as? [Int])?.first) + 8 + length
            return file.subdata(in: start..<start + 64)
        }

        /// Flips a bit of the first number wherever a process has the pattern in its own memory or
        /// in memory that ranks share; returns the number of places.
        private func flip(_ pattern: Data, in process: Int32) throws -> Int {
            let maps = try String(contentsOfFile: "/proc/\(process)/maps", encoding: .utf8)
            let memory = open("/proc/\(process)/mem", O_RDWR)
            try #require(memory >= 0)
            defer { close(memory) }
            var places = 0
            for map in maps.split(separator: "\n") {
                let fields = map.split(separator: " ", omittingEmptySubsequences: true)
                let ends = fields[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
                guard fields[1].hasPrefix("rw"),
                    fields.count == 5 || fields[5] == "[heap]" || fields[5].hasPrefix("/dev/shm/")
                else { continue }
                var bytes = Data(count: Int(ends[1] - ends[0]))
                let count = bytes.withUnsafeMutableBytes {
                    pread(memory, $0.baseAddress, $0.count, off_t(ends[0]))
                }
                guard count == bytes.count else { continue }
                var start = 0
                while let found = bytes.range(of: pattern, in: start..<bytes.count) {
                    var byte = bytes[found.lowerBound + 3] ^ 0x80
                    let place = off_t(ends[0]) + off_t(found.lowerBound + 3)
                    if pwrite(memory, &byte, 1, place) == 1 { places += 1 }
                    start = found.upperBound
                }
            }
            return places
        }
    }
}
