import Foundation
import TestSupport
import Testing

/// Tests of the output that `launch/mpirun` passes on and of the failures that it reports.
@Suite struct LauncherMessagesTests {
    private let launcher = "\(Launch.root)/launch/mpirun"

    private func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
        let folder = try TemporaryFolder(hasSpace: false)
        return try body(folder.path)
    }

    /// Starts the probe with a hostfile's text; returns the outcome and the hostfile's path.
    private func start(
        _ hostfile: String?, _ options: [String] = [], environment: [String: String] = [:]
    ) throws -> (Outcome, path: String) {
        try withFolder { folder in
            let path = "\(folder)/hosts"
            try Data((hostfile ?? "").utf8).write(to: URL(filePath: path))
            let hosts = hostfile == nil ? ["--ranks", "2", "--oversubscribe"] : ["--hosts", path]
            let command = ["--", "\(Launch.products)/multirank-probe", "environment"]
            return (
                try Launch.run(
                    launcher, hosts + options + command, environment: environment), path
            )
        }
    }

    @Test("errors of mpirun are reported in one sentence")
    func errorsOfMPIRunAreOneSentence() throws {
        let (crowded, _) = try start("localhost slots=999\n")
        #expect(crowded.status == 78)
        #expect(crowded.sentences.count == 1)
        #expect(crowded.errors.contains(" has fewer cores than its ranks have threads; "))
        #expect(crowded.errors.contains("--oversubscribe"))

        // Open MPI counts the cores of a host that states no slots.
        let (slots, _) = try start("localhost\n", ["--ranks", "999"])
        #expect(slots.status == 78)
        #expect(
            slots.sentences == [
                "launch/mpirun: there are fewer slots than the 999 ranks; start fewer ranks, or give "
                    + "--oversubscribe."
            ])

        let (threads, _) = try start("localhost slots=2\n", ["--ranks", "2", "--threads", "999"])
        #expect(threads.status == 78)
        #expect(threads.sentences.count == 1)
        #expect(threads.errors.contains(" has fewer cores than its ranks have threads; "))

        let (aliases, path) = try start("localhost slots=1\n127.0.0.1 slots=1\n")
        #expect(aliases.status == 78)
        #expect(aliases.sentences.count == 1)
        #expect(aliases.errors.contains("launch/mpirun: \(path): several lines name the host "))

        let (network, _) = try start("localhost slots=1\n", ["--interface", "nosuch0"])
        #expect(network.status == 78)
        #expect(network.sentences.count == 1)
        #expect(network.errors.contains("\"nosuch0\"; give --interface "))

        let (component, _) = try start(nil, environment: ["OMPI_MCA_pml": "nosuch"])
        #expect(
            component.sentences == [
                "launch/mpirun: OMPI_MCA_pml: Open MPI has no component \"nosuch\"; correct or unset "
                    + "it."
            ])
        #expect(component.status == 78)

        let (agent, _) = try start(
            "localhost slots=1\nelsewhere slots=1\n", ["--agent", "no-such-agent"])
        #expect(agent.status == 78)
        #expect(agent.sentences.count == 1)
        #expect(agent.errors.contains("\"no-such-agent\""))
    }

    /// The version of Open MPI to which each setting belongs, or nil, the setting, its value and the
    /// exit code. Version 5 has another runtime, with other names.
    private static let refusedSettings: [(version: Int?, name: String, value: String, Int32)] = [
        (4, "OMPI_MCA_rmaps_base_mapping_policy", "bogus", 78),
        (4, "OMPI_MCA_rmaps_base_ranking_policy", "bogus", 78),
        (4, "OMPI_MCA_rmaps_base_mapping_policy", "slot:bogus", 78),
        (4, "OMPI_MCA_rmaps_base_mapping_policy", "ppr:x", 78),
        (4, "OMPI_MCA_ess_base_forward_signals", "x", 78),
        (4, "OMPI_MCA_hwloc_base_cpu_list", "99999", 78),
        (5, "PRTE_MCA_rmaps_default_mapping_policy", "bogus", 78),
        (5, "PRTE_MCA_rmaps_default_ranking_policy", "bogus", 78),
        (5, "PRTE_MCA_rmaps_default_mapping_policy", "slot:bogus", 78),
        (5, "PRTE_MCA_rmaps_default_mapping_policy", "ppr:x", 78),
        (5, "PRTE_MCA_ess_base_forward_signals", "x", 78),
        (5, "PRTE_MCA_prte_default_hostfile", "/no/such", 66),
        (nil, "OMPI_MCA_btl", "tcp", 78),
        (nil, "OMPI_MCA_orte_default_hostfile", "/no/such", 66),
    ]

    @Test(
        "a setting that Open MPI refuses is named",
        arguments: refusedSettings.filter { [nil, Launch.openMPIVersion].contains($0.version) }
            .map { ($0.name, $0.value, $0.3) })
    func refusedSettingIsNamed(name: String, value: String, code: Int32) throws {
        let (outcome, _) = try start(nil, environment: [name: value])
        #expect(outcome.status == code)
        #expect(outcome.sentences.count == 1, "\(outcome.errors)")
        let sentence = outcome.sentences.first ?? ""
        #expect(sentence.hasPrefix("launch/mpirun: "))
        #expect(sentence.contains(name) && sentence.contains(value), "\(sentence)")
        #expect(sentence.contains("correct or unset "), "\(sentence)")
    }

    @Test("a setting in a file that Open MPI refuses is named")
    func refusedSettingOfAFileIsNamed() throws {
        let isOld = Launch.openMPIVersion == 4
        let name = isOld ? "rmaps_base_ranking_policy" : "rmaps_default_ranking_policy"
        try withFolder { folder in
            let path = "\(folder)/\(isOld ? ".openmpi" : ".prte")/mca-params.conf"
            let script = """
                mkdir "$(dirname "$0")" && echo " \(name) = bogus" >"$0" || exit
                HOME=$(dirname "$(dirname "$0")") exec "$1" --ranks 1 -- true
                """
            let outcome = try Launch.run("bash", ["-c", script, path, launcher])
            #expect(outcome.status == 78)
            #expect(
                outcome.sentences == [
                    "launch/mpirun: \(name) in \(path) = bogus: Open MPI refuses it (The specified "
                        + "ranking \(isOld ? "policy" : "directive") is not recognized); correct or "
                        + "unset it."
                ])
        }
    }

    @Test("an allocation without srun is refused")
    func anAllocationWithoutSrunIsRefused() throws {
        try withFolder { folder in
            let script = """
                mkdir "$0/bin" && ln -s /bin/* /usr/bin/* "$0/bin/" 2>/dev/null
                ln -sf "$(type -P mpirun)" "$0/bin/"
                rm -f "$0/bin/srun"
                PATH=$0/bin exec "$1" -- true
                """
            let outcome = try Launch.run(
                "bash", ["-c", script, folder, launcher],
                environment: ["SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS": "2"])
            #expect(outcome.status == 78)
            #expect(outcome.errors.hasPrefix("launch/mpirun: srun: is not in PATH, "))
            #expect(outcome.sentences.count == 1)
        }
    }

    @Test("an unreachable host is named")
    func unreachableHostIsNamed() throws {
        try withFolder { folder in
            let agent = "\(folder)/agent"
            let text =
                "#!/bin/sh\necho 'ssh: connect to host b.invalid port 22: No' >&2\nexit 255\n"
            try Data(text.utf8).write(to: URL(filePath: agent))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: agent)
            let hosts = "localhost slots=1\na.invalid slots=1\nb.invalid slots=1\n"
            let (outcome, _) = try start(hosts, ["--agent", agent, "--oversubscribe"])
            #expect(outcome.status == 78)
            #expect(outcome.sentences.count == 1)
            #expect(
                outcome.errors.contains(
                    "launch/mpirun: b.invalid: Open MPI cannot be started there (connect to host "
                        + "b.invalid port 22: No); check "))
            // Open MPI 5 explains this on stdout, which belongs to the ranks.
            #expect(outcome.output.isEmpty)
        }
    }

    @Test(
        "the slots of a scheduler do not limit ranks on one machine",
        arguments: [
            ("SLURM_JOB_ID", "7"), ("PE_HOSTFILE", "/nowhere"), ("LSB_JOBID", "7"),
        ])
    func schedulerSlotsDoNotLimitOneMachine(name: String, value: String) throws {
        var environment = [name: value]
        if name.hasPrefix("SLURM") {
            var host = [CChar](repeating: 0, count: 256)
            gethostname(&host, host.count - 1)
            let own = String(decoding: host.prefix { $0 != 0 }.map { UInt8($0) }, as: UTF8.self)
            for name in ["SLURM_JOB_NODELIST", "SLURM_NODELIST"] { environment[name] = own }
            for name in ["SLURM_NNODES", "SLURM_TASKS_PER_NODE"] { environment[name] = "1" }
            environment["SLURM_JOBID"] = value
            environment["SLURM_JOB_CPUS_PER_NODE"] = "2"
        }
        let outcome = try Launch.run(
            launcher, ["--ranks", "2", "--", "echo", "here"], environment: environment)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == "here\nhere\n")
    }

    @Test("ranks start without ssh and HOME, and with links in PATH")
    func ranksStartWithoutSSHAndHome() throws {
        let links = try Launch.run("env", ["PATH=/bin:/usr/bin", launcher, "--ranks", "1", "true"])
        #expect(links.status == 0, "\(links.errors)")
        let script = """
            mkdir "$1/bin" && ln -s /bin/* /usr/bin/* "$1/bin/" 2>/dev/null
            ln -sf "$(type -P mpirun)" "$1/bin/"
            rm -f "$1/bin/ssh" "$1/bin/rsh"
            PATH=$1/bin env -u HOME "$2" --ranks 2 --oversubscribe echo here || exit
            printf 'localhost slots=1\\nelsewhere slots=1\\n' >"$1/hosts"
            PATH=$1/bin "$2" --hosts "$1/hosts" true
            """
        let outcome = try withFolder {
            try Launch.run("bash", ["-c", script, "bash", $0, launcher])
        }
        #expect(outcome.output == "here\nhere\n", "\(outcome.errors)")
        #expect(outcome.status == 78)
        #expect(
            outcome.errors.contains(
                "ssh: is not in PATH, but is needed to reach elsewhere; install "))
    }

    /// Editors on Windows save such files.
    @Test("a hostfile may have carriage returns and a byte order mark")
    func aHostfileMayHaveCarriageReturnsAndAByteOrderMark() throws {
        let (outcome, _) = try start(
            "\u{FEFF}# hosts\r\nlocalhost slots=2\r\n\r\n", ["--oversubscribe"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try outcome.reports(EnvironmentReport.self).map(\.size) == [2, 2])
    }

    @Test("unwritable temporary files are reported first")
    func unwritableTemporaryFilesAreReportedFirst() throws {
        let outcome = try Launch.run(
            launcher, ["--ranks", "1", "true"], environment: ["TMPDIR": "/sys"])
        #expect(outcome.status == 74)
        #expect(
            outcome.errors.hasPrefix("launch/mpirun: /sys: Open MPI cannot write its temporary "))
        #expect(outcome.errors.hasSuffix("or set TMPDIR to another folder.\n"))
    }

    @Test(
        "a full file system for temporary files is reported first",
        .enabled("needs root, to mount a small file system") { SmallDisk.isPossible })
    func fullTemporaryFileSystemIsReportedFirst() throws {
        try SmallDisk.with(size: "8k") { disk in
            for name in ["one", "two"] {
                try Data(count: 4096).write(to: URL(filePath: "\(disk)/\(name)"))
            }
            let outcome = try Launch.run(
                launcher, ["--ranks", "2", "--oversubscribe", "true"], environment: ["TMPDIR": disk]
            )
            #expect(outcome.status == 74)
            #expect(
                outcome.sentences == [
                    "launch/mpirun: \(disk): Open MPI cannot write its temporary files there (No space "
                        + "left on device); free 12 MiB, or set TMPDIR to another folder."
                ])
        }
    }

    @Test(
        "a variable that names a missing network or agent is named",
        arguments: Launch.openMPIVersion == 4
            ? [("OMPI_MCA_oob_tcp_if_include", "nope0"), ("OMPI_MCA_plm_rsh_agent", "nossh")]
            : [("PRTE_MCA_oob_tcp_if_include", "nope0"), ("PRTE_MCA_plm_ssh_agent", "nossh")])
    func variableOfAMissingNetworkOrAgentIsNamed(name: String, value: String) throws {
        // Version 5 needs the agent only for other hosts.
        let hosts = name.hasSuffix("ssh_agent") ? "localhost slots=1\nelsewhere slots=1\n" : nil
        let (outcome, _) = try start(hosts, environment: [name: value])
        #expect(outcome.status == 78)
        #expect(outcome.sentences.count == 1, "\(outcome.errors)")
        #expect(
            outcome.errors.contains("launch/mpirun: \(name) = \(value): "), "\(outcome.errors)")
    }

    @Test(
        "ranks need no network but loopback",
        .enabled(if: EmulatedCluster.isPossible, "root cannot make network namespaces here"))
    func ranksNeedNoNetworkButLoopback() throws {
        let start = [launcher, "--ranks", "2", "--oversubscribe", "--"]
        let probe = ["\(Launch.products)/multirank-probe", "environment"]
        let without = try Launch.run("unshare", ["--net"] + start + probe)
        #expect(without.status == 78)
        #expect(
            without.sentences == [
                "launch/mpirun: this machine has no network interface that is up, not even loopback; "
                    + "run \"ip link set lo up\"."
            ])
        let script = "ip link set lo up && exec \"$0\" \"$@\""
        let with = try Launch.run("unshare", ["--net", "sh", "-c", script] + start + probe)
        #expect(with.status == 0, "\(with.errors)")
        #expect(try with.reports(EnvironmentReport.self).map(\.size) == [2, 2])
    }

    @Test("a second program is refused")
    func aSecondProgramIsRefused() throws {
        let outcome = try Launch.run(launcher, ["--", "true", ":", "-n", "1", "false"])
        #expect(outcome.status == 64)
        #expect(outcome.errors.hasPrefix("launch/mpirun: \":\": would begin a second "))
    }

    @Test("ranks start from an empty environment")
    func anEmptyEnvironment() throws {
        let outcome = try Launch.run(
            "env", ["-i", launcher, "--ranks", "2", "--oversubscribe", "--", "sh", "-c", "echo up"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == "up\nup\n")
    }

    @Test("without Perl, ranks start and failures are reported")
    func withoutPerlRanksStartAndFailuresAreReported() throws {
        let script = """
            mkdir "$1/bin" && ln -s /bin/* /usr/bin/* "$1/bin/" 2>/dev/null
            ln -sf "$(type -P mpirun)" "$1/bin/"
            rm -f "$1/bin/perl"
            # Rank 1 fails after rank 0 has ended, because a failure ends the other ranks.
            PATH=$1/bin "$2" --ranks 2 --oversubscribe \
                sh -c 'echo here; [ $OMPI_COMM_WORLD_RANK = 0 ] || { sleep 2; exit 75; }'
            echo $?
            printf 'localhost slots=999\n' >"$1/hosts"
            PATH=$1/bin "$2" --hosts "$1/hosts" true
            [ $? != 0 ] || exit 1
            # Open MPI loses its message about the signal now and then.
            for try in 1 2 3 4 5; do
                PATH=$1/bin "$2" --ranks 1 sh -c 'kill -KILL $$' 2>"$1/errors" && exit 1
                status=$?
                ! grep -q 'signal 9' "$1/errors" || break
            done
            cat "$1/errors" >&2
            exit $status
            """
        let outcome = try withFolder {
            try Launch.run("bash", ["-c", script, "bash", $0, launcher])
        }
        #expect(outcome.output == "here\nhere\n75\n", "\(outcome.errors)")
        #expect(outcome.status == 137)
        // Open MPI's own text explains both failures.
        let crowded = /processes (than cpus on a resource|to more cpus than are available)/
        #expect(outcome.errors.contains(crowded), "\(outcome.errors)")
        #expect(outcome.errors.contains("signal 9"), "\(outcome.errors)")
        #expect(outcome.errors.contains("mpirun failed with status 137; see the messages above, "))
    }
}
