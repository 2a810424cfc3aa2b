import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests that start-up, checkpoints and resumes do not grow with the number of ranks, with the
    /// messages that Open MPI counts; `Tests/Studies/scale` does the same for more ranks.
    @Suite(.serialized) struct ScaleTests {
        /// A model so small that nearly all bytes are independent of it.
        private static let recipe = """
            [model]
            layers = 1
            heads = 1
            width = 8
            context_length = 8
            [training]
            steps = 3
            global_batch = 16
            [optimizer]
            learning_rate = 1e-3
            [reduction]
            lanes = 16
            balance = "off"
            [evaluation]
            every = 0
            [checkpoint]
            every = 0
            best = false
            """

        /// The messages, or the bytes, that each rank sends and receives.
        private struct Traffic {
            var messages: [Int]
            var bytes: [Int]

            static func - (left: Traffic, right: Traffic) -> Traffic {
                Traffic(
                    messages: zip(left.messages, right.messages).map { $0 - $1 },
                    bytes: zip(left.bytes, right.bytes).map { $0 - $1 })
            }
        }

        /// Runs lockstep on emulated hosts of two ranks and returns the messages of the run.
        private func traffic(
            _ bench: Workbench, _ arguments: [String], ranks: Int
        ) throws -> Traffic {
            let folder = try TemporaryFolder()
            let outcome = try bench.lockstep(
                ["train"] + arguments, ranks: ranks,
                environment: [
                    "LOCKSTEP_RANKS_PER_NODE": "2", "OMPI_MCA_pml_monitoring_enable": "2",
                    "OMPI_MCA_pml_monitoring_enable_output": "3",
                    "OMPI_MCA_pml_monitoring_filename": "\(folder.path)/traffic",
                    // Its part for windows fails for shared memory.
                    "OMPI_MCA_osc": "^monitoring",
                ])
            try #require(outcome.status == 0, "\(outcome.errors)")
            var traffic = Traffic(
                messages: Array(repeating: 0, count: ranks),
                bytes: Array(repeating: 0, count: ranks))
            for rank in 0..<ranks {
                for line in try folder.read("traffic.\(rank).prof").split(separator: "\n") {
                    // E are point-to-point messages, and I those of collective operations.
                    let fields = line.split(whereSeparator: \.isWhitespace)
                    guard let kind = fields.first, kind == "E" || kind == "I" else { continue }
                    let numbers = [1, 2, 3, 5].map { Int(fields[$0]) ?? -1 }
                    for end in numbers[..<2] {
                        traffic.bytes[end] += numbers[2]
                        traffic.messages[end] += numbers[3]
                    }
                }
            }
            return traffic
        }

        /// Returns the messages from the start to the end of a run of one step, of a checkpoint, and
        /// from a resume to the end after one step.
        private func phases(ranks: Int, sharded: Bool) throws -> [(name: String, traffic: Traffic)]
        {
            let bench = try Workbench()
            try bench.write(Self.recipe, to: "recipe.toml")
            func train(_ name: String, _ settings: String...) throws -> Traffic {
                let model = sharded ? ["optimizer.sharded=true", "model.width=160"] : []
                let set = model + settings
                return try traffic(
                    bench,
                    [bench.path("recipe.toml"), "--data", bench.data, "--out", bench.path(name)]
                        + set.flatMap { ["--set", $0] }, ranks: ranks)
            }
            let plain = try train("plain")
            let saving = try train("saving", "checkpoint.every=1")
            let short = try train("short", "training.steps=1")
            let resumed = try traffic(
                bench, ["--resume", "--out", bench.path("short"), "--set", "training.steps=2"],
                ranks: ranks)
            return [("start", short), ("two checkpoints", saving - plain), ("resume", resumed)]
        }

        /// With sharding, the model is large enough for every rank to have a shard, so most bytes are
        /// those of its state.
        @Test("messages and bytes grow with the logarithm of the ranks", arguments: [false, true])
        func growth(sharded: Bool) throws {
            let runs = try [4, 8, 16].map { try phases(ranks: $0, sharded: sharded) }
            for phase in runs[0].indices {
                let most = runs.map { $0[phase].traffic.messages.max() ?? 0 }
                expectLogarithmic(most, "messages of \(runs[0][phase].name)")
                if sharded || runs[0][phase].name == "resume" { continue }
                let bytes = runs.map { $0[phase].traffic.bytes.max() ?? 0 }
                expectLogarithmic(bytes, "bytes of \(runs[0][phase].name)")
            }
        }

        /// Expects that a count grows about equally from 4 to 8 and from 8 to 16 ranks. A count that
        /// is proportional to the ranks would grow twice as much.
        private func expectLogarithmic(_ counts: [Int], _ name: String) {
            #expect(counts[0] > 0, "\(name)")
            #expect(
                Double(counts[2] - counts[1]) <= 1.5 * Double(counts[1] - counts[0]),
                "\(name): \(counts)")
        }
    }
}
