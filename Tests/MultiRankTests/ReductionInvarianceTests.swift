import Foundation
import TestSupport
import Testing

extension MultiRankTests {
    /// Tests of the effects of hosts, the wire format and sharding on a run's results.
    @Suite(.serialized) struct ReductionInvarianceTests {
        static let steps = 4

        static func recipe(wire: String) -> String {
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

        private static let layouts = [
            Layout(1), Layout(2, threads: 2), Layout(3), Layout(4, perHost: 2, threads: 2),
            Layout(6, perHost: 3), Layout(3, perHost: 2), Layout(4, perHost: 1, threads: 3),
            Layout(8),
        ]

        @Test("neither hosts nor shards change a bit", arguments: ["fp32", "bf16"])
        func neitherHostsNorShardsChangeABit(wire: String) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe(wire: wire))
            var first = FirstRun()
            for layout in Self.layouts {
                for sharded in [false, true] {
                    let run = bench.run("\(layout) \(sharded)")
                    try bench.train(
                        [
                            recipe, "--data", bench.data, "--set",
                            "optimizer.sharded=\(sharded)",
                        ], layout: layout, into: run)
                    #expect(try run.rankCount(step: Self.steps) == layout.ranks, "\(layout)")
                    try first.expectSame(
                        run, steps: [Self.steps], "\(layout), sharded: \(sharded)")
                }
            }
        }

        /// The tests above are meaningful because the wire format changes bits.
        @Test("the wire format changes bits")
        func wireFormatChangesBits() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let states = try ["fp32", "bf16"].map { wire in
                let recipe = try bench.recipe(wire, Self.recipe(wire: wire))
                let run = bench.run("run \(wire)")
                try bench.train(
                    [recipe, "--data", bench.data], layout: Layout(1), into: run)
                return try run.state(step: Self.steps)
            }
            #expect(states[0] != states[1])
        }

        /// A run that stops in one mode and resumes in another one on another layout.
        struct Change: Sendable {
            let wire: String
            let before: Layout
            let wasSharded: Bool
            let after: Layout
            let isSharded: Bool
        }

        @Test(
            "a run may resume in the other mode",
            arguments: [
                Change(
                    wire: "fp32", before: Layout(2, threads: 2), wasSharded: true,
                    after: Layout(3, perHost: 2), isSharded: false),
                Change(
                    wire: "bf16", before: Layout(3, perHost: 2), wasSharded: false,
                    after: Layout(4, perHost: 2, threads: 2), isSharded: true),
                Change(
                    wire: "bf16", before: Layout(4, perHost: 2), wasSharded: true, after: Layout(2),
                    isSharded: true),
            ])
        func runMayResumeInTheOtherMode(change: Change) throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe(wire: change.wire))
            let whole = bench.run("whole")
            try bench.train(
                [recipe, "--data", bench.data, "--set", "training.steps=8"],
                layout: Layout(1), into: whole)
            let run = bench.run("resumed")
            // The schedule has eight steps, and the first part takes four of them.
            try bench.train(
                [
                    recipe, "--data", bench.data, "--set", "training.steps=4", "--set",
                    "schedule.decay_steps=8", "--set", "schedule.warmup_steps=0", "--set",
                    "optimizer.sharded=\(change.wasSharded)",
                ], layout: change.before, into: run)
            #expect(try run.rankCount(step: 4) == change.before.ranks)
            try bench.train(
                [
                    "--resume", "--set", "training.steps=8", "--set",
                    "optimizer.sharded=\(change.isSharded)",
                ], layout: change.after, into: run)
            #expect(try run.rankCount(step: 8) == change.after.ranks)
            #expect(try run.metrics() == whole.metrics())
            #expect(try run.state(step: 8) == whole.state(step: 8))
        }

        /// The layouts above have several hosts only if training reads the variable.
        @Test("training reads the ranks of each host")
        func trainingReadsTheRanksOfEachHost() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe(wire: "fp32"))
            let outcome = try bench.train(
                [recipe, "--data", bench.data], ranks: 2, into: bench.run("run"),
                environment: ["LOCKSTEP_RANKS_PER_NODE": "0"])
            #expect(outcome.status == 78)
            #expect(outcome.errors.contains("LOCKSTEP_RANKS_PER_NODE = \"0\": is not"))
        }

        @Test("the wire format cannot change midway")
        func theWireCannotChangeMidway() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe(wire: "fp32"))
            let run = bench.run("run")
            try bench.train([recipe, "--data", bench.data], layout: Layout(1), into: run)
            let outcome = try bench.train(
                ["--resume", "--set", "reduction.wire=bf16"], ranks: 1, into: run)
            #expect(outcome.status == 78)
            #expect(outcome.errors.contains("[reduction] wire"))
        }

        /// If the ranks' shared memory does not fit, one line says so and the bits are the same.
        @Test("a run without shared memory has the same bits")
        func runWithoutSharedMemoryHasTheSameBits() throws {
            let bench = try Workbench(text: Workbench.learnableText)
            let recipe = try bench.recipe("recipe", Self.recipe(wire: "fp32"))
            let states = try ["/dev/shm", "/no such folder"].map { folder in
                let run = bench.run("in \(folder.dropFirst())".replacing("/", with: " "))
                let outcome = try bench.train(
                    [recipe, "--data", bench.data], ranks: 2, into: run,
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
