import Foundation
import TestSupport
import Testing

/// The place where a test can make a control group with a CPU quota.
private enum ControlGroup {
    static let root =
        ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].first {
            FileManager.default.fileExists(atPath: "\($0)/cgroup.procs")
        } ?? ""

    static let isPossible: Bool = {
        guard geteuid() == 0, !root.isEmpty else { return false }
        let script = """
            n="$0/lockstep-try-$$"; mkdir "$n" || exit
            [ -w "$n/cpu.max" ] || [ -w "$n/cpu.cfs_quota_us" ]; s=$?; rmdir "$n"; exit $s
            """
        return (try? Launch.run("sh", ["-c", script, root]).status) == 0
    }()
}

/// Tests of the flags that `launch/mpirun` chooses, of its refusals, and of the signals that it passes
/// on.
@Suite struct LauncherTests {
    private let launcher = "\(Launch.root)/launch/mpirun"

    private func flags(_ arguments: String..., environment: [String: String] = [:]) throws -> String
    {
        let outcome = try Launch.run(
            launcher, ["--dry-run"] + arguments + ["--", "true", "a b"], environment: environment)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.isEmpty)
        #expect(outcome.output.hasSuffix("/true a\\ b \n"))
        return outcome.output
    }

    private func refusal(_ arguments: String...) throws -> (Int32, String) {
        let outcome = try Launch.run(launcher, arguments)
        #expect(outcome.output.isEmpty)
        let prefix = "launch/mpirun: "
        #expect(outcome.errors.hasPrefix(prefix))
        #expect(outcome.errors.split(separator: "\n").count == 1)
        return (
            outcome.status, outcome.errors.dropFirst(prefix.count).trimmingCharacters(in: .newlines)
        )
    }

    private func withHostfile(_ text: String, _ body: (String) throws -> Void) throws {
        let folder = try TemporaryFolder(hasSpace: false)
        try body(try folder.write("hosts", text))
    }

    @Test("ranks are bound to cores if there are enough")
    func ranksAreBoundToCores() throws {
        let one = try flags("--ranks", "1")
        #expect(one.contains(" -n 1 --bind-to core "))
        #expect(one.contains(" -x OMP_NUM_THREADS=1 -x LOCKSTEP_THREADS=1 "))
        #expect(!one.contains("oversubscribe"))
        #expect(one.contains("--allow-run-as-root") == (geteuid() == 0))
    }

    /// The test allows the last of its own cores, because mpirun itself would bind to the first.
    @Test("only allowed cores are used")
    func onlyAllowedCoresAreUsed() throws {
        let outcome = try Launch.run(
            "bash",
            [
                "-c",
                """
                list=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
                last=${list##*[,-]}
                taskset -c "$last" "$0" --ranks 1 -- sed -n "s/^Cpus_allowed_list:/$last/p" \
                    /proc/self/status
                """, launcher,
            ])
        let words = outcome.output.split(whereSeparator: \.isWhitespace)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(words.count == 2 && words.first == words.last, "\(outcome.output)")
    }

    /// The quota is set on the control group above the launcher's own, and is rounded down.
    @Test(
        "a quota of the control group limits the cores",
        .enabled(if: ControlGroup.isPossible, "root cannot make control groups here"))
    func quotaOfTheControlGroupLimitsTheCores() throws {
        let group = "\(ControlGroup.root)/lockstep-test-\(getpid())"
        let script = """
            mkdir "$1" "$1/below" && trap 'rmdir "$1/below" "$1"' EXIT
            (cd "$1" && if [ -e cpu.max ]; then echo "150000 100000" >cpu.max
            else echo 150000 >cpu.cfs_quota_us; fi) || exit
            bash -c 'echo $$ >"$1/below/cgroup.procs" && exec "$0" --dry-run true' "$0" "$1"
            """
        let outcome = try Launch.run("bash", ["-c", script, launcher, group])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains(" -n 1 "))
    }

    @Test("ranks share cores if there are too few")
    func ranksShareCores() throws {
        for flags in [
            try flags("--ranks", "999"), try flags("--ranks", "1", "--threads", "999"),
            try flags("--ranks", "1", "--oversubscribe"),
        ] {
            #expect(flags.contains(" --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 "))
            #expect(!flags.contains("--bind-to core"))
        }
    }

    @Test("hostfiles determine ranks, threads and interfaces")
    func hostfilesGiveRanksThreadsAndInterfaces() throws {
        try withHostfile("# two hosts\nnode1 slots=3\n\nnode2 slots=2 max_slots=4 # small\n") {
            path in
            let flags = try flags(
                "--hosts", path, "--threads", "4", "--interface", "10.1.0.0/16")
            #expect(flags.contains(" --hostfile \(path) "))
            #expect(flags.contains(" -n 5 --map-by slot:PE=4 --bind-to core "))
            #expect(flags.contains(" -x LOCKSTEP_THREADS=4 "))
            #expect(
                flags.contains(
                    " --mca btl_tcp_if_include 10.1.0.0/16 --mca oob_tcp_if_include 10.1.0.0/16 "))
            #expect(flags.contains(" --mca oob_tcp_keepalive_time 10 "))
            // A host that does not answer is reported within half a minute.
            #expect(flags.contains(" --mca plm_rsh_args -o\\ ConnectTimeout=20 "))
            let own = try self.flags(
                "--hosts", path, environment: ["OMPI_MCA_plm_rsh_args": "-p 2222"])
            #expect(!own.contains("ConnectTimeout"))
            let other = try self.flags(
                "--hosts", path, "--ranks", "9", "--oversubscribe", "--agent", "my agent",
                environment: ["LOCKSTEP_INTERFACE": "ib0"])
            #expect(other.contains(" -n 9 --oversubscribe --bind-to none "))
            #expect(other.contains(" --mca btl_tcp_if_include ib0 "))
            #expect(other.contains(" --mca plm_rsh_agent my\\ agent "))
        }
    }

    @Test(
        "the example hostfiles are readable",
        arguments: ["one-machine", "two-nodes", "four-by-eight", "slurm"])
    func theExampleHostfilesAreReadable(name: String) throws {
        let flags = try flags("--hosts", "\(Launch.root)/cluster/hostfiles/\(name)")
        #expect(flags.contains(" --hostfile "))
        if name == "four-by-eight" { #expect(flags.contains(" -n 32 ")) }
    }

    @Test("bad input is refused in one sentence")
    func badInputIsRefusedInOneSentence() throws {
        #expect(
            try refusal("--rank", "2", "true")
                == (64, "--rank: is not an option; see launch/mpirun --help."))
        let number = "must be a whole number from 1 to 99999; give one such as 2."
        for bad in ["two", "0", "-1", "1.5", "\"\"", "1000000"] {
            #expect(
                try refusal("--ranks", bad == "\"\"" ? "" : bad, "true")
                    == (64, "--ranks \(bad): \(number)"))
        }
        #expect(try refusal("--threads", "x", "true") == (64, "--threads x: \(number)"))
        #expect(try refusal("--ranks") == (64, "--ranks: has no value; see launch/mpirun --help."))
        #expect(
            try refusal("--ranks", "2")
                == (
                    64,
                    "<command>: is missing; write it after the options, as launch/mpirun --help "
                        + "shows."
                ))
        #expect(
            try refusal("--agent", "ssh", "true")
                == (
                    64, "--agent ssh: starts processes on other hosts only; give --hosts as well."
                ))
        for option in ["--interface", "--hosts", "--agent"] {
            #expect(
                try refusal(option, "", "true")
                    == (64, "\(option): has no value; see launch/mpirun --help."))
        }
        #expect(
            try refusal("--hosts", "/no/such", "true")
                == (
                    66,
                    "/no/such: is not a readable hostfile; see the examples in cluster/hostfiles."
                ))
        #expect(
            try refusal("no-such-command")
                == (
                    66,
                    "\"no-such-command\": is not a command; check its path and that it may be "
                        + "executed."
                ))
    }

    /// These files have the permission but cannot be executed; a shell would run some as its own
    /// scripts.
    @Test(
        "a file that is not a program is refused",
        arguments: [
            (
                "#!/no/such/interpreter\n",
                "its first line names the interpreter \"/no/such/interpreter\""
            ),
            ("#!/bin/sh\r\n", "its first line names the interpreter \"/bin/sh\\r\""),
            ("#!/usr/bin/env no-such-program\n", "its first line names the interpreter \"no-such-"),
            ("echo hello\n", "is executable but neither a program nor a script "),
            ("", "is executable but neither a program nor a script "),
            // An ELF file for a machine with the number 0.
            ("\u{7F}ELF" + String(repeating: "\0", count: 60), "is a program for another kind "),
        ])
    func nonProgramIsRefused(content: String, words: String) throws {
        try withHostfile(content) { path throws in
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
            try withHostfile("localhost slots=1\n") { hosts throws in
                for options in [["--ranks", "1"], ["--hosts", hosts]] {
                    let outcome = try Launch.run(launcher, options + ["--", path])
                    #expect(outcome.status == 66)
                    #expect(
                        outcome.errors.hasPrefix("launch/mpirun: \(path): \(words)"),
                        "\(outcome.errors)")
                    #expect(outcome.errors.split(separator: "\n").count == 1)
                }
            }
        }
    }

    /// The rule is also that of `lockstep`.
    @Test("the start timeout must be a positive number")
    func theStartTimeoutIsAPositiveNumber() throws {
        for seconds in ["0.5", ".5", "60", "6e1", "1e3", "6e-1", "999999"] {
            let flags = try flags(
                "--ranks", "1", environment: ["LOCKSTEP_START_TIMEOUT": seconds])
            #expect(flags.contains(" -x LOCKSTEP_START_TIMEOUT "))
        }
        for seconds in ["0", "0.0", "-1", "inf", "1s", "", "1000000000", "1e99"] {
            let outcome = try Launch.run(
                launcher, ["--ranks", "1", "true"],
                environment: ["LOCKSTEP_START_TIMEOUT": seconds])
            #expect(outcome.status == 78)
            #expect(
                outcome.errors
                    == "launch/mpirun: LOCKSTEP_START_TIMEOUT = \"\(seconds)\": is not a positive "
                    + "number of seconds below a million; set one such as 60.\n")
        }
    }

    @Test("help that cannot be written ends with 74", arguments: ["--help", "--dry-run -- true"])
    func unwritableHelp(options: String) throws {
        let outcome = try Launch.run(
            "bash", ["-c", "\"$0\" \(options) >/dev/full", launcher], seconds: 20)
        #expect(outcome.status == 74)
    }

    @Test("ranks and threads are those of a Slurm allocation unless they are given")
    func slurmAllocation() throws {
        let environment = [
            "SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS": "4",
            "SLURM_TASKS_PER_NODE": "2(x2)", "SLURM_CPUS_PER_TASK": "3", "OMPI_MCA_plm": "slurm",
        ]
        for nodes in ["1", "2"] {
            for (options, ranks, threads, taken) in [
                ([], 4, 3, "--ranks 4 --threads 3"), (["--ranks", "2"], 2, 3, "--threads 3"),
                (["--threads", "1"], 4, 1, "--ranks 4"),
            ] {
                let outcome = try Launch.run(
                    launcher, ["--dry-run", "--oversubscribe"] + options + ["--", "true"],
                    environment: environment.merging(["SLURM_JOB_NUM_NODES": nodes]) { $1 })
                #expect(outcome.status == 0)
                #expect(outcome.output.contains(" -n \(ranks) --oversubscribe "))
                #expect(outcome.output.contains(" -x LOCKSTEP_THREADS=\(threads) "))
                #expect(
                    outcome.errors == "launch/mpirun: takes \(taken) from the Slurm allocation.\n")
            }
        }
        // On a node, Slurm may count hardware threads, of which a core has several.
        let node = try Launch.run(
            launcher, ["--dry-run", "--", "true"],
            environment: [
                "SLURMD_NODENAME": "node1", "SLURM_NTASKS": "1", "SLURM_CPUS_PER_TASK": "99999",
            ])
        #expect(node.output.contains(" -n 1 ") && !node.output.contains("LOCKSTEP_THREADS=99999"))
    }

    @Test("the CPUs of a Slurm job limit the ranks of one machine")
    func slurmCPUs() throws {
        let outcome = try Launch.run(
            launcher, ["--dry-run", "--", "true"], environment: ["SLURM_CPUS_ON_NODE": "1"])
        #expect(outcome.status == 0)
        #expect(outcome.output.contains(" -n 1 "))
        #expect(
            outcome.errors.hasPrefix("launch/mpirun: chose --ranks 1 --threads 1 for 1 core"),
            "\(outcome.errors)")
        // Another job may use the other cores.
        guard ProcessInfo.processInfo.activeProcessorCount > 1 else { return }
        #expect(outcome.output.contains(" --bind-to none "))
        #expect(outcome.errors.contains(" (Slurm allows 1 of "), "\(outcome.errors)")
    }

    /// The functions of launch/_machine.sh see a made-up machine: `lscpu` lists its processors, each
    /// with its core, NUMA node and caches.
    @Test(
        "ranks and threads follow cores, hardware threads, caches, quota and memory",
        arguments: [
            // (processors, hardware threads of a core, cores that share a cache, quota, GiB)
            (2, 1, 2, "", 16, "2 1 2: one rank for each core"),
            (8, 2, 4, "", 64, "4 1 4 (8 hardware threads): one rank for each core"),
            (16, 1, 16, "", 64, "4 4 16: few ranks wait for one another"),
            (32, 2, 8, "", 64, "4 4 16 (32 hardware threads): few ranks wait for one another"),
            (24, 1, 6, "", 64, "12 2 24: the threads of a rank share a cache"),
            (15, 1, 15, "", 64, "15 1 15: one rank for each core"),
            (
                32, 1, 8, "4", 64,
                "4 1 4 (the CPU quota of a control group allows 4 of 32): one rank for each core"
            ),
            (16, 1, 16, "", 4, "2 8 16: the 4 GiB of memory limit the ranks"),
            (4, 1, 4, "", 1, "1 4 4: the 1 GiB of memory limit the ranks"),
        ])
    func layoutOfAMachine(
        processors: Int, hardwareThreads: Int, cacheCores: Int, quota: String, memory: Int,
        layout: String
    ) throws {
        let list = (0..<processors).map { processor in
            let core = processor / hardwareThreads
            return "\(processor),0,\(core),0,\(core):\(core):\(core / cacheCores)"
        }
        let script = """
            . "$0/launch/_machine.sh"
            lscpu() { printf '%s\\n' "$list"; }
            env() { echo \(processors); }
            allowed_processors() { echo 0-\(processors - 1); }
            quota_cores() { echo "\(quota)"; }
            available_memory() { echo \(memory); }
            count_cores && choose_threads && echo "$((cores / threads)) $threads $cores$cores_limit: $reason"
            """
        let outcome = try Launch.run(
            "bash", ["-euc", script, Launch.root],
            environment: ["list": list.joined(separator: "\n")])
        #expect(outcome.output == layout + "\n", "\(outcome.errors)")
    }

    @Test("a number of Slurm tasks must be a whole number", arguments: ["x", "-3", "0"])
    func slurmTasks(tasks: String) throws {
        let outcome = try Launch.run(
            launcher, ["--dry-run", "--", "true"],
            environment: [
                "SLURM_NTASKS": tasks, "SLURM_JOB_NUM_NODES": "2", "OMPI_MCA_plm": "slurm",
            ])
        #expect(outcome.status == 78)
        #expect(
            outcome.errors.hasPrefix(
                "launch/mpirun: SLURM_NTASKS = \"\(tasks)\": is not a number of tasks "))
    }

    @Test("bad hostfiles are refused in one sentence")
    func badHostfilesAreRefusedInOneSentence() throws {
        try withHostfile("node1 slots=2\nnode2 slots=2\n") { path throws in
            #expect(
                try refusal("--hosts", path, "--ranks", "5", "true")
                    == (
                        78,
                        "\(path): 5 ranks are more than its 4 slots; add slots, start fewer "
                            + "ranks, or give --oversubscribe."
                    ))
        }
        for (lines, number, problem) in [
            (
                "node1 slots=2\nnode2 slot=2\n", 2,
                "\"slot=2\" instead of slots=N; write one host per line, such as "
                    + "\"node1 slots=4\"."
            ),
            (
                "[::1] slots=1\n", 1,
                "the host \"[::1]\", which Open MPI cannot read; write a name or an IPv4 address."
            ),
            (
                "node1 slots=2 max_slots=1\n", 1,
                "max_slots=1 below slots=2; raise or remove it."
            ),
        ] {
            try withHostfile(lines) { path throws in
                #expect(
                    try refusal("--hosts", path, "true")
                        == (65, "\(path): line \(number) has \(problem)"))
            }
        }
        try withHostfile("node1 slots=2\nnode2 slots=2\nnode1 slots=1\n") { path throws in
            #expect(
                try refusal("--hosts", path, "true")
                    == (
                        78,
                        "\(path): lines 1 and 3 name the same host node1; give it one line with "
                            + "all its slots."
                    ))
        }
        try withHostfile("# nobody\n") { path throws in
            #expect(try refusal("--hosts", path, "true").0 == 65)
        }
        try withHostfile("node1\n") { path throws in
            #expect(try refusal("--hosts", path, "true").0 == 78)
            let flags = try flags("--hosts", path, "--ranks", "3")
            #expect(flags.contains(" -n 3 "))
        }
    }

    @Test("the command is printed first and its exit code returned")
    func theCommandIsPrintedFirstAndItsCodeReturned() throws {
        let outcome = try Launch.run(
            launcher, ["--ranks", "2", "--oversubscribe", "--", "sh", "-c", "exit 75"])
        #expect(outcome.status == 75)
        #expect(outcome.errors.hasPrefix("+ /"))
        #expect(outcome.errors.split(separator: "\n").count == 1)
        #expect(outcome.output.isEmpty)
    }

    /// Some schedulers start the launcher with blocked signals.
    @Test(
        "a termination signal becomes a request to checkpoint",
        arguments: [["env"], ["env", "--block-signal=USR1,TERM,INT,HUP"]])
    func terminationRequestsACheckpoint(start: [String]) throws {
        // Each rank reports its start, waits for the request, and exits as after a checkpoint.
        let rank = "trap 'exit 75' USR1; echo up; for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done"
        let script = """
            output=$1; shift
            "$@" >"$output" & child=$!
            until [ "$(grep -c up "$output")" = 2 ]; do sleep 0.1; done
            kill -TERM $child; wait $child
            """
        let folder = try TemporaryFolder()
        let output = "\(folder.path)/output"
        let command = start + [launcher, "--ranks", "2", "--oversubscribe", "--", "sh", "-c", rank]
        let outcome = try Launch.run("bash", ["-c", script, "bash", output] + command)
        #expect(outcome.status == 75)
        #expect(outcome.errors.contains("asked all ranks to checkpoint and stop"))
    }
}
