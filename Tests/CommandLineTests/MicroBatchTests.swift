import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the micro-batch that is chosen by memory.
    @Suite(.serialized) struct MicroBatchTests {
        /// The program sees a made-up memory limit in its own mount namespace. A lane of 1024
        /// sequences does not fit into it.
        @Test(
            "an unset micro-batch that does not fit is chosen once, and a resume keeps it",
            .enabled("needs root, to mount a file system") { SmallDisk.isPossible })
        func chosenOnce() throws {
            let bench = try Workbench()
            let arguments = bench.training(set: "training.global_batch=4096", "training.steps=2")
            let limit = 8 << 20
            let script = """
                mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/memory &&
                echo \(limit) >/sys/fs/cgroup/memory/memory.limit_in_bytes &&
                echo \(limit) >/sys/fs/cgroup/memory.max && exec "$@"
                """
            let first = try Launch.run(
                "unshare", ["--mount", "sh", "-c", script, "sh", Workbench.lockstep] + arguments)
            try #require(first.status == 0, "\(first.errors)")
            let notice = try #require(
                first.errors.firstMatch(
                    of:
                        /a lane of 1,024 sequences at once would not fit into memory, so micro_batch = (\d+)/
                ), "\(first.errors)")
            let chosen = try #require(Int(notice.1))
            #expect(chosen > 1 && chosen < 1024)
            func recipe(_ run: String) throws -> String {
                String(decoding: try bench.bytes(of: "\(run)/recipe.toml"), as: UTF8.self)
            }
            #expect(try recipe("run").contains("\nmicro_batch = \(chosen)\n"))
            let second = try bench.lockstep(
                ["train", "--resume", "--out", bench.path("run"), "--set", "training.steps=3"],
                ranks: 2)
            try #require(second.status == 0, "\(second.errors)")
            #expect(try recipe("run").contains("\nmicro_batch = \(chosen)\n"))
            // With enough memory, it is a whole lane.
            let roomy = try bench.lockstep(
                bench.training(
                    into: "roomy", set: "training.global_batch=4096", "training.steps=1"))
            try #require(roomy.status == 0, "\(roomy.errors)")
            #expect(try recipe("roomy").contains("\nmicro_batch = 1024\n"))
        }
    }
}
