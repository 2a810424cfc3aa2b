import Foundation
import MultiRankSupport
import Testing

extension MultiRankTests {
    /// Hosts, the wire and sharding: what they may change in a run, and what not.
    @Suite(.serialized) struct ReductionInvarianceTests {
        private static let steps = 4

        private static func recipe(wire: String) -> String {
            """
            [model]
            layers = 2
            heads = 2
            width = 64
            context_length = 7
            dropout = 0.1
            [training]
            steps = \(steps)
            global_batch = 16
            [optimizer]
            learning_rate = 1e-2
            clip_norm = 0.5
            [reduction]
            lanes = 8
            bucket_mib = 0.1
            wire = "\(wire)"
            [evaluation]
            every = 2
            [checkpoint]
            every = 2
            """
        }

        /// Ranks, and of them on each emulated host; 0 for all.
        private static let layouts = [
            (1, 0), (2, 0), (3, 0), (4, 2), (6, 3), (3, 2), (4, 1), (8, 0),
        ]

        private func train(
            _ workshop: Workshop, _ arguments: [String], layout: (ranks: Int, perHost: Int),
            into run: RunResult
        ) throws {
            let environment =
                layout.perHost == 0 ? [:] : ["LOCKSTEP_RANKS_PER_NODE": "\(layout.perHost)"]
            let outcome = try workshop.train(
                arguments, ranks: layout.ranks, into: run, environment: environment)
            try #require(outcome.status == 0, "\(layout): \(outcome.errors)")
        }

        @Test(arguments: ["fp32", "bf16"])
        func neitherHostsNorShardsChangeABit(wire: String) throws {
            let workshop = try Workshop()
            let recipe = try workshop.recipe("recipe", Self.recipe(wire: wire))
            var reference: (metrics: [String], state: [Data])?
            for layout in Self.layouts {
                for sharded in [false, true] {
                    let run = workshop.run("\(layout.0) \(layout.1) \(sharded)")
                    try train(
                        workshop,
                        [
                            recipe, "--data", workshop.data, "--set",
                            "optimizer.sharded=\(sharded)",
                        ], layout: layout, into: run)
                    #expect(try run.rankCount(step: Self.steps) == layout.0, "really so many")
                    let result = (try run.metrics(), try run.state(step: Self.steps))
                    guard let reference else {
                        reference = result
                        continue
                    }
                    #expect(result.0 == reference.metrics, "\(layout), sharded: \(sharded)")
                    #expect(result.1 == reference.state, "\(layout), sharded: \(sharded)")
                }
            }
        }

        /// What the tests above rest on does matter.
        @Test func theWireDoesChangeBits() throws {
            let workshop = try Workshop()
            let states = try ["fp32", "bf16"].map { wire in
                let recipe = try workshop.recipe(wire, Self.recipe(wire: wire))
                let run = workshop.run("run \(wire)")
                try train(workshop, [recipe, "--data", workshop.data], layout: (1, 0), into: run)
                return try run.state(step: Self.steps)
            }
            #expect(states[0] != states[1])
        }

        @Test(arguments: [(2, true, 3, false), (3, false, 4, true), (4, true, 2, true)])
        func aRunGoesOnInTheOtherMode(
            before: Int, wasSharded: Bool, after: Int, isSharded: Bool
        ) throws {
            let workshop = try Workshop()
            let recipe = try workshop.recipe("recipe", Self.recipe(wire: "fp32"))
            let whole = workshop.run("whole")
            try train(
                workshop, [recipe, "--data", workshop.data, "--set", "training.steps=8"],
                layout: (1, 0), into: whole)
            let run = workshop.run("resumed")
            // The schedule is that of eight steps, of which the first part takes four.
            try train(
                workshop,
                [
                    recipe, "--data", workshop.data, "--set", "training.steps=4", "--set",
                    "schedule.decay_steps=8", "--set", "schedule.warmup_steps=0", "--set",
                    "optimizer.sharded=\(wasSharded)",
                ], layout: (before, 0), into: run)
            try train(
                workshop,
                [
                    "--resume", "--set", "training.steps=8", "--set",
                    "optimizer.sharded=\(isSharded)",
                ], layout: (after, 2), into: run)
            #expect(try run.rankCount(step: 8) == after)
            #expect(try run.state(step: 8) == whole.state(step: 8))
        }

        @Test func theWireCannotChangeMidway() throws {
            let workshop = try Workshop()
            let recipe = try workshop.recipe("recipe", Self.recipe(wire: "fp32"))
            let run = workshop.run("run")
            try train(workshop, [recipe, "--data", workshop.data], layout: (1, 0), into: run)
            let outcome = try workshop.train(
                ["--resume", "--set", "reduction.wire=bf16"], ranks: 1, into: run)
            #expect(outcome.status == 78)
            #expect(outcome.errors.contains("[reduction] wire"))
        }

        /// Where the ranks' shared memory would not fit, one line says so and the bits are the same.
        @Test func withoutSharedMemoryTheRunIsTheSame() throws {
            let workshop = try Workshop()
            let recipe = try workshop.recipe("recipe", Self.recipe(wire: "fp32"))
            let states = try ["/dev/shm", "/no such folder"].map { folder in
                let run = workshop.run("in \(folder.dropFirst())".replacing("/", with: " "))
                let outcome = try workshop.train(
                    [recipe, "--data", workshop.data], ranks: 2, into: run,
                    environment: ["OMPI_MCA_osc_sm_backing_directory": folder])
                try #require(outcome.status == 0, "\(outcome.errors)")
                let warnings = outcome.errors.split(separator: "\n").filter {
                    $0.contains("instead of sharing memory: /no such folder cannot be used")
                }
                #expect(warnings.count == (folder == "/dev/shm" ? 0 : 1))
                return try run.state(step: Self.steps)
            }
            #expect(states[0] == states[1])
        }
    }
}
