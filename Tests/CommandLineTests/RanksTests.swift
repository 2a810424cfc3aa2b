import Foundation
import TestSupport
import Testing

extension CommandLineTests {
    /// Tests of the ranks of a run and of the doctor's report on them.
    @Suite(.serialized) struct RanksTests {
        @Test("without mpirun there is one rank and a notice")
        func withoutMpirunThereIsOneRank() throws {
            let bench = try Workbench()
            let alone = try bench.lockstep(bench.training())
            #expect(alone.status == 0)
            let notice = "started without mpirun, so this is the only rank"
            #expect(alone.sentences.count { $0.contains(notice) } == 1)
            #expect(alone.errors.contains("on 1 rank x 1 thread"))
            let launched = try bench.lockstep(bench.training(into: "other"), ranks: 2)
            #expect(launched.status == 0)
            #expect(!launched.errors.contains(notice))
            #expect(launched.errors.contains("on 2 ranks x 1 thread"))
            #expect(launched.sentences.count { $0.contains("training a GPT of") } == 1)
            #expect(try bench.state(6) == bench.state(6, of: "other"))
        }

        @Test("ranks of different builds are refused")
        func ranksOfDifferentBuildsAreRefused() throws {
            let bench = try Workbench()
            let other = bench.path("other-lockstep")
            try FileManager.default.copyItem(atPath: Workbench.lockstep, toPath: other)
            let file = try #require(FileHandle(forWritingAtPath: other))
            try file.seekToEnd()
            try file.write(contentsOf: Data([0]))
            try file.close()
            let arguments = bench.training()
            let outcome = try Launch.run(
                "mpirun",
                ["--quiet", "--oversubscribe", "-n", "1", Workbench.lockstep] + arguments
                    + [":", "-n", "1", other] + arguments, environment: Launch.rootEnvironment)
            expectRefusal(
                outcome, 78, ["the build: differs between ranks, because rank 1 on ", "install"])
            #expect(!bench.exists("run"))
        }

        /// Each script precedes the command on rank 1 only.
        @Test(
            "a failure of one rank names the rank and its host",
            arguments: [
                ("export LOCKSTEP_LOG=loud", ["doctor"], "LOCKSTEP_LOG = \"loud\": is not a "),
                (
                    "ulimit -v 600000", ["bench", "step", "--size", "baby", "--steps", "1"],
                    "MiB of memory: cannot be allocated"
                ),
            ])
        func aFailureOfOneRankNamesItAndItsHost(
            script: String, command: [String], words: String
        ) throws {
            let start = "[ $OMPI_COMM_WORLD_RANK = 0 ] || \(script); exec \"$0\" \"$@\""
            let outcome = try Launch.run(
                "\(Launch.root)/launch/mpirun",
                ["--ranks", "2", "--oversubscribe", "--", "bash", "-c", start, Workbench.lockstep]
                    + command)
            let host = ProcessInfo.processInfo.hostName
            // The benchmark says first what it measures.
            let last = try #require(outcome.sentences.last)
            #expect(outcome.status == 78, "\(outcome.errors)")
            #expect(last.hasPrefix("lockstep: rank 1 on \(host): "), "\(last)")
            #expect(last.contains(words), "\(last)")
        }

        @Test("two commands in one job are refused")
        func twoCommandsAreRefused() throws {
            let outcome = try Launch.run(
                "mpirun",
                ["--quiet", "--oversubscribe", "-n", "1", Workbench.lockstep, "doctor", ":"]
                    + ["-n", "1", Workbench.lockstep, "evaluate", "run"],
                environment: Launch.rootEnvironment)
            expectRefusal(
                outcome, 78,
                [
                    "the command: differs between ranks, because rank 1 on ",
                    "start every rank with the same",
                ])
        }

        /// Open MPI would crash or print its own messages without its files or its network.
        @Test(
            "a process started alone needs no temporary files and no network",
            .enabled("needs root, to mount a small file system") { SmallDisk.isPossible },
            arguments: [["env"], ["unshare", "--net"]])
        func aLoneProcess(start: [String]) throws {
            let bench = try Workbench()
            try SmallDisk.with(size: "8k", at: bench.path("disk")) {
                // The file system has two pages; the folder itself takes none.
                try bench.write(String(repeating: "x", count: 4096), to: "disk/other")
                try bench.write(String(repeating: "x", count: 4096), to: "disk/file")
                for command in [bench.training(), ["evaluate", bench.path("run")], ["doctor"]] {
                    let outcome = try Launch.run(
                        start[0], start.dropFirst() + [Workbench.lockstep] + command,
                        environment: ["TMPDIR": bench.path("disk")])
                    #expect(outcome.status == 0, "\(outcome.errors)")
                    for words in ["ORTE_ERROR_LOG", "-----", "opal_"] {
                        #expect(!outcome.errors.contains(words), "\(outcome.errors)")
                    }
                }
            }
        }

        @Test("the doctor finds the ranks")
        func theDoctorFindsTheRanks() throws {
            let bench = try Workbench()
            let outcome = try bench.lockstep("doctor", "--out", "/dev/shm/run", ranks: 2)
            #expect(outcome.status == 0, "\(outcome.errors)")
            for words in [
                "Lockstep ", "Open MPI v", "kernels", "2 on 1 host, 1 thread each", "tmpfs",
                "lies in memory",
            ] {
                #expect(outcome.output.contains(words), "\(outcome.output)")
            }
            let machine = try bench.lockstep(
                "doctor", "--json", "--out", "/dev/shm/run", ranks: 2)
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(machine.output.utf8))
                    as? [String: Any])
            let ranks = try #require(report["ranks"] as? [[String: Any]])
            #expect(ranks.map { $0["threads"] as? Int } == [1, 1])
            #expect((report["file_system"] as? String)?.contains("tmpfs") == true)
            let warnings = try #require(report["warnings"] as? [String])
            #expect(warnings.contains { $0.contains("lies in memory") }, "\(warnings)")
            for (place, words) in [("text.txt", "is not a folder"), ("data", "holds no run")] {
                let taken = try bench.lockstep("doctor", "--out", bench.path(place))
                #expect(taken.output.contains("warning: \(bench.path(place)): is not"))
                #expect(taken.output.contains(words), "\(taken.output)")
            }
            let alone = try bench.lockstep("doctor")
            #expect(alone.status == 0)
            #expect(alone.output.contains("started without mpirun, so this is the only rank"))
        }

        @Test(
            "the doctor lists the networks",
            .enabled(
                if: EmulatedCluster.isPossible, "root cannot make network namespaces here"))
        func theDoctorListsTheNetworks() throws {
            let script = """
                ip link set lo up && ip link add net0 type bridge && ip link add net1 type bridge &&
                ip address add 10.9.8.7/20 dev net0 && ip link set net0 up && exec "$0" doctor
                """
            let outcome = try Launch.run(
                "unshare", ["--net", "sh", "-c", script, Workbench.lockstep])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let line = outcome.output.split(separator: "\n").first { $0.hasPrefix("networks ") }
            #expect(line?.hasSuffix(" net0 10.9.8.7/20") == true, "\(outcome.output)")
        }

        @Test("the doctor lists the allowed cores")
        func theDoctorListsTheAllowedCores() throws {
            let all = try Launch.run("bash", ["-c", "taskset -cp $$"]).output
            let last = try #require(all.split { !$0.isNumber }.last)
            let outcome = try Launch.run(
                "taskset", ["-c", String(last), Workbench.lockstep, "doctor"])
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("rank 0 on core \(last)\n"), "\(outcome.output)")
        }

        /// A core that the launcher may not use is not idle, but one without a rank is.
        @Test("the doctor counts the cores of the launcher")
        func theDoctorCountsTheCoresOfTheLauncher() throws {
            let arguments = ["--", Workbench.lockstep, "doctor"]
            let launcher = "\(Launch.root)/launch/mpirun"
            let one = try Launch.run("taskset", ["-c", "0", launcher] + arguments)
            #expect(one.status == 0, "\(one.errors)")
            #expect(one.output.contains("No warnings."), "\(one.output)")
            let two = try Launch.run("taskset", ["-c", "0", launcher, "--ranks", "2"] + arguments)
            #expect(two.output.contains("start 2 threads on only 1 of its cores"))
            let count = try physicalCores()
            guard count > 1 else { return }
            // A script around the program has the binding of its rank.
            let bound = try Launch.run(
                "mpirun",
                ["-n", "1", "--bind-to", "core", "sh", "-c", "\"$0\" doctor; exit $?"]
                    + [Workbench.lockstep], environment: Launch.rootEnvironment)
            #expect(bound.output.contains("\(count - 1) of "), "\(bound.output)")
            #expect(bound.output.contains("would be idle"), "\(bound.output)")
        }

        private func physicalCores() throws -> Int {
            let lines = try Launch.run(
                "sh", ["-c", "lscpu -p=SOCKET,CORE | grep -v '^#' | sort -u | wc -l"])
            return try #require(Int(lines.output.filter { $0.isNumber }))
        }

        /// In its own mount namespace the program sees a made-up control group of version 1 or 2.
        @Test(
            "the doctor counts the cores of a quota",
            .enabled("needs root, to mount a file system") { SmallDisk.isPossible },
            arguments: [("50000", 1), ("150000", 1), ("-1", nil)])
        func theDoctorCountsTheCoresOfAQuota(quota: String, cores: Int?) throws {
            let script = """
                mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/cpu &&
                echo "$1" >/sys/fs/cgroup/cpu/cpu.cfs_quota_us &&
                echo 100000 >/sys/fs/cgroup/cpu/cpu.cfs_period_us &&
                echo "$(echo "$1" | sed s/-1/max/) 100000" >/sys/fs/cgroup/cpu.max &&
                exec "$2" doctor
                """
            let outcome = try Launch.run(
                "unshare", ["--mount", "sh", "-c", script, "sh", quota, Workbench.lockstep])
            #expect(outcome.status == 0, "\(outcome.errors)")
            guard let cores else {
                #expect(!outcome.output.contains("quota"), "\(outcome.output)")
                return
            }
            // A quota cannot limit a single core.
            guard try physicalCores() > 1 else { return }
            #expect(
                outcome.output.contains("\(cores) of "), "\(outcome.output)")
            #expect(outcome.output.contains("usable (a control group's CPU quota is "))
            #expect(outcome.output.contains("No warnings."), "\(outcome.output)")
        }
    }
}
