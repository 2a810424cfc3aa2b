import Foundation
import TestSupport
import Testing

/// Starts on hosts that cannot reach one another; each must end with a sentence that names the host
/// or the networks.
///
/// The tests need root, iproute2 and a kernel that lets root make network namespaces. Without them
/// they are skipped, and the report says so.
@Suite(
    .serialized,
    .enabled(if: EmulatedCluster.isPossible, "root cannot make network namespaces here"))
struct HangingStartTests {
    private static let seconds = ["LOCKSTEP_START_TIMEOUT": "3"]

    /// Two emulated hosts whose container networks have the same address; the launcher runs on the
    /// first.
    private final class Hosts {
        let name: String
        // The launcher reads the agent, a file in this folder, as a list of words.
        private let temporary: TemporaryFolder
        var folder: String { temporary.path }
        var second: String { "lockstep-\(name)-h2" }

        init(_ suffix: String) throws {
            temporary = try TemporaryFolder(hasSpace: false)
            name = "t\(getpid())\(suffix)"
            let script = """
                set -e
                "$0" up 2 --name \(name) >/dev/null
                for n in lockstep-\(name)-h1 lockstep-\(name)-h2; do
                    ip -n $n link add docker0 type bridge
                    ip -n $n address add 172.17.0.1/16 dev docker0
                    ip -n $n link set docker0 up
                    echo "$n slots=1"
                done >"$1/hosts"
                """
            let up = try Launch.run("bash", ["-c", script, EmulatedCluster.script, folder])
            try #require(up.status == 0, "\(up.errors)")
        }

        deinit { _ = try? Launch.run(EmulatedCluster.script, ["down", "--name", name]) }

        /// Returns a command line for bash that runs the launcher, to which arguments can be
        /// appended.
        ///
        /// - Parameter agent: the agent's script, which receives the host `$host` and the command
        ///   `$*`.
        func script(agent: String, _ options: String = "", _ command: String? = nil) throws
            -> String
        {
            let path = "\(folder)/agent"
            try Data("#!/bin/sh\nhost=$1; shift\n\(agent)\n".utf8).write(to: URL(filePath: path))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
            let command = command ?? "'\(Launch.products)/multirank-probe' environment"
            return """
                ip netns exec lockstep-\(name)-h1 unshare --uts sh -c 'hostname "$0" && exec "$@"' \
                lockstep-\(name)-h1 '\(Launch.root)/launch/mpirun' --hosts \(folder)/hosts \
                --agent \(path) --oversubscribe \(options) -- \(command)
                """
        }
    }

    private static let working = """
        exec ip netns exec "$host" unshare --uts sh -c 'hostname "$0" && exec sh -c "$1"' "$host" "$*"
        """
    /// An agent that starts a host without a connection back to the launcher.
    private static let unheard = """
        exec unshare --net --uts sh -c 'hostname "$0" && ip link set lo up && exec sh -c "$1"' \
        "$host" "$*"
        """
    private static let hanging = "sleep 300"

    @Test("networks of containers are excluded")
    func networksOfContainersAreExcluded() throws {
        let hosts = try Hosts("d")
        let outcome = try Launch.run(
            "bash", ["-c", try hosts.script(agent: Self.working)], environment: Self.seconds)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try outcome.reports(EnvironmentReport.self).map(\.size) == [2, 2])

        // The user's own list is extended.
        let extended = try Launch.run(
            "bash", ["-c", try hosts.script(agent: Self.working)],
            environment: Self.seconds.merging(["OMPI_MCA_btl_tcp_if_exclude": "lo"]) { $1 })
        #expect(extended.status == 0, "\(extended.errors)")

        // If the user chooses such a network, the ranks detect the hang, or Open MPI 5 does.
        let settings = Self.seconds.merging(["OMPI_MCA_btl_tcp_if_include": "docker0"]) { $1 }
        let stuck = try Launch.run(
            "bash", ["-c", try hosts.script(agent: Self.working)], environment: settings)
        #expect(stuck.sentences.count == 1)
        let sentence = stuck.sentences.first ?? ""
        if Launch.openMPIVersion == 5, stuck.status == 74 {
            #expect(
                sentence.hasPrefix(
                    "launch/mpirun: a host cannot reach another one at 172.17.0.1; "),
                "\(stuck.errors)")
            return
        }
        #expect(stuck.status == 78)
        #expect(
            sentence.hasPrefix(
                "lockstep: MPI: did not connect all ranks within 3 s (rank 0 on "
                    + "lockstep-\(hosts.name)-h1 waits; its networks: eth0 10.77.0.1/24, docker0 "
                    + "172.17.0.1/16); give launch/mpirun --interface "), "\(stuck.errors)")
    }

    @Test(
        "one request ends a start that hangs in MPI",
        .enabled("Open MPI 5 may end such a start itself") { Launch.openMPIVersion == 4 })
    func oneRequestEndsAHangInMPI() throws {
        let hosts = try Hosts("l")
        let script = """
            \(try hosts.script(agent: Self.working)) & child=$!
            sleep 4; kill -TERM $child; wait $child
            """
        let outcome = try Launch.run(
            "bash", ["-c", script],
            environment: [
                "OMPI_MCA_btl_tcp_if_include": "docker0", "LOCKSTEP_START_TIMEOUT": "60",
            ], seconds: 40)
        #expect(outcome.status == 75, "\(outcome.errors)")
        let left = try Launch.run("ip", ["netns", "pids", hosts.second])
        #expect(left.output.isEmpty, "\(left.output)")
    }

    @Test("doctor lists the networks that a host could use")
    func doctorListsNetworks() throws {
        let hosts = try Hosts("k")
        let outcome = try Launch.run(
            "ip",
            [
                "netns", "exec", "lockstep-\(hosts.name)-h1", "\(Launch.products)/lockstep",
                "doctor",
            ])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(
            outcome.output.contains(
                /\nnetworks +eth0 10\.77\.0\.1\/24, docker0 172\.17\.0\.1\/16\n/),
            "\(outcome.output)")
    }

    @Test("a host that does not start is named")
    func aHostThatDoesNotStartIsNamed() throws {
        let hosts = try Hosts("e")
        for agent in [Self.hanging, Self.unheard] {
            let outcome = try Launch.run(
                "bash", ["-c", try hosts.script(agent: agent)], environment: Self.seconds)
            // Open MPI 5 gives up when a host cannot connect back.
            let isGivenUp = Launch.openMPIVersion == 5 && agent == Self.unheard
            let words =
                isGivenUp
                ? ": Open MPI was started there but could not connect back; "
                : " did not start within 3 s; "
            #expect(outcome.status == 78)
            #expect(outcome.sentences.count == 1)
            #expect(
                outcome.sentences.first?.hasPrefix("launch/mpirun: \(hosts.second)\(words)")
                    == true,
                "\(outcome.errors)")
            #expect(outcome.sentences.first?.contains("--interface") == true)
        }
    }

    @Test("one request ends a hanging start")
    func oneRequestEndsAStartThatHangs() throws {
        let hosts = try Hosts("f")
        // Open MPI 5 gives up when a host cannot connect back.
        for agent in Launch.openMPIVersion == 5 ? [Self.hanging] : [Self.hanging, Self.unheard] {
            let script = """
                \(try hosts.script(agent: agent)) & child=$!
                sleep 2; kill -TERM $child; wait $child
                """
            let outcome = try Launch.run("bash", ["-c", script], seconds: 30)
            #expect(outcome.status == 75, "\(outcome.errors)")
            #expect(
                outcome.sentences.last == "launch/mpirun: stopped before the ranks had started.")
        }
        let left = try Launch.run("ip", ["netns", "pids", "lockstep-\(hosts.name)-h1"])
        #expect(left.output.isEmpty)
    }

    @Test("a program that is missing on another host is named")
    func programMissingOnAnotherHostIsNamed() throws {
        let hosts = try Hosts("g")
        let program = "\(hosts.folder)/program"
        try FileManager.default.createDirectory(
            atPath: program, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: "/bin/true", toPath: "\(program)/true")
        let agent = """
            exec ip netns exec "$host" unshare --uts --mount sh -c \
            'hostname "$0" && mount -t tmpfs none "\(program)" && exec sh -c "$1"' "$host" "$*"
            """
        let outcome = try Launch.run(
            "bash", ["-c", try hosts.script(agent: agent, "", "\(program)/true")])
        #expect(outcome.status == 66)
        #expect(
            outcome.sentences == [
                "launch/mpirun: \(hosts.second) has no executable \(program)/true; install it "
                    + "there, at the same path as on this host."
            ])

        let foreign = """
            exec ip netns exec "$host" unshare --uts --mount sh -c \
            'hostname "$0" && : >"\(program)/empty" && chmod +x "\(program)/empty" &&
            printf "#!/no/such/interpreter\\n" >"\(program)/empty" &&
            mount --bind "\(program)/empty" "\(program)/true" && exec sh -c "$1"' "$host" "$*"
            """
        let refused = try Launch.run(
            "bash", ["-c", try hosts.script(agent: foreign, "", "\(program)/true")])
        #expect(refused.status == 66)
        #expect(refused.sentences.count == 1)
        #expect(
            refused.sentences.first?.hasPrefix(
                "launch/mpirun: \(program)/true: cannot be executed (") == true,
            "\(refused.errors)")
    }

    /// A scheduler sends its signal to all processes that a job has on a host. A rank may need
    /// longer for its checkpoint than Open MPI waits for ranks that it ends.
    @Test("a signal to all processes of another host is a request to checkpoint")
    func signalToAnotherHostRequestsACheckpoint() throws {
        let hosts = try Hosts("i")
        let rank = """
            trap "sleep 3; touch \(hosts.folder)/saved-\\$OMPI_COMM_WORLD_RANK; exit 75" TERM USR1
            echo up; for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done
            """
        let script = """
            \(try hosts.script(agent: Self.working, "", "sh -c '\(rank)'")) >\(hosts.folder)/out &
            child=$!
            for i in $(seq 100); do [ "$(grep -c up \(hosts.folder)/out)" = 2 ] && break; sleep 0.1; done
            kill -TERM $(ip netns pids \(hosts.second)); wait $child; status=$?
            [ -e \(hosts.folder)/saved-1 ] && exit $status
            """
        let outcome = try Launch.run("bash", ["-c", script], seconds: 40)
        #expect(outcome.status == 75, "\(outcome.errors)")
    }

    @Test("a second request ends ranks on another host")
    func aSecondRequestEndsRanksOnAnotherHost() throws {
        let hosts = try Hosts("j")
        let rank = "trap \"\" TERM USR1 INT; echo up; for i in $(seq 30); do sleep 1; done"
        let script = """
            echo "\(hosts.second) slots=2" >\(hosts.folder)/hosts
            \(try hosts.script(agent: Self.working, "", "sh -c '\(rank)'")) >\(hosts.folder)/out &
            child=$!
            for i in $(seq 100); do [ "$(grep -c up \(hosts.folder)/out)" = 2 ] && break; sleep 0.1; done
            kill -TERM $child; sleep 0.5; kill -TERM $child; wait $child; status=$?
            for i in $(seq 100); do
                [ -z "$(ip netns pids \(hosts.second))" ] && exit $status; sleep 0.1
            done
            """
        let outcome = try Launch.run("bash", ["-c", script], seconds: 40)
        #expect(outcome.status == 137, "\(outcome.errors)")
        #expect(
            outcome.sentences.last?.hasPrefix("launch/mpirun: ended at once, as requested; ")
                == true)
    }

    @Test("a process that ends on another host is named")
    func processEndingOnAnotherHostIsNamed() throws {
        let hosts = try Hosts("h")
        let lost = "launch/mpirun: the connection to \(hosts.second) was lost; "
        var ends = [
            ("$$", Int32(137), " on \(hosts.second) was ended by SIGKILL, most likely "),
            ("$PPID", 74, lost),
        ]
        // The agent of Open MPI 5 lives as long as the job.
        if Launch.openMPIVersion == 5 { ends.append(("$(ps -o ppid= -p $PPID)", 74, lost)) }
        for (victim, code, words) in ends {
            let rank = "[ $OMPI_COMM_WORLD_RANK = 1 ] && sleep 1 && kill -KILL \(victim); sleep 3"
            let outcome = try Launch.run(
                "bash", ["-c", try hosts.script(agent: Self.working, "", "sh -c '\(rank)'")])
            #expect(outcome.status == code)
            #expect(outcome.sentences.count == 1)
            #expect(
                outcome.sentences.first?.contains(words) == true,
                "\(outcome.errors)")
        }
    }
}
