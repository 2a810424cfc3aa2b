import Foundation
import TestSupport
import Testing

/// Tests of `launch/supervise` on three emulated hosts, of which it runs on the first.
///
/// The tests need root, iproute2 and a kernel that lets root make network namespaces. Without them
/// they are skipped, and the report says so.
@Suite(
    .serialized,
    .enabled(if: EmulatedCluster.isPossible, "root cannot make network namespaces here"))
struct SuperviseHostsTests {
    /// Three emulated hosts with one slot each.
    ///
    /// A host `NAME` does not answer while the file `dead-NAME` exists; the third one has a folder
    /// `private` of its own.
    private final class Hosts {
        let name: String
        // The launcher reads the agent, a file in this folder, as a list of words.
        let temporary: TemporaryFolder
        var folder: String { temporary.path }
        func host(_ index: Int) -> String { "lockstep-\(name)-h\(index)" }

        init(_ suffix: String) throws {
            temporary = try TemporaryFolder(hasSpace: false)
            name = "t\(getpid())\(suffix)"
            let up = try Launch.run(EmulatedCluster.script, ["up", "3", "--name", name])
            try #require(up.status == 0, "\(up.errors)")
            try temporary.write("hosts", (1...3).map { "\(host($0)) slots=1\n" }.joined())
            let agent = try temporary.write(
                "agent",
                """
                #!/bin/sh
                cd \(folder); host=$1; shift
                [ ! -e dead-$host ] || exit 255
                [ $host != \(host(3)) ] || own='mount -t tmpfs none \(folder)/private &&'
                exec ip netns exec "$host" unshare --uts --mount sh -c \
                    "hostname $host && $own "'exec sh -c "$0"' "$*"
                """)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: agent)
            try FileManager.default.createDirectory(
                atPath: "\(folder)/private", withIntermediateDirectories: false)
        }

        deinit { _ = try? Launch.run(EmulatedCluster.script, ["down", "--name", name]) }

        /// The words that start a script of `launch` on the first host.
        func start(_ script: String) -> [String] {
            [
                "ip", "netns", "exec", host(1), "unshare", "--uts", "sh", "-c",
                "hostname \"$0\" && exec \"$@\"", host(1), "\(Launch.root)/launch/\(script)",
                "--hosts", "\(folder)/hosts", "--agent", "\(folder)/agent", "--interface",
                "10.77.0.0/24", "--oversubscribe",
            ]
        }
    }

    /// What happens to a host, as a command with the host's name as `$host`.
    enum Loss: String, CaseIterable, Sendable {
        case killed = "kill -KILL $(ip netns pids $host)"
        case cutOff = "ip -n $host link set eth0 down"
    }

    @Test(
        "a run continues on the hosts that still answer, with the same bytes",
        arguments: Loss.allCases)
    func continuesOnTheHostsThatAnswer(loss: Loss) throws {
        let bench = try Workbench()
        let hosts = try Hosts("s")
        let steps = 4000
        let settings = ["training.steps=\(steps)", "checkpoint.every=50", "evaluation.every=2000"]
            .flatMap { ["--set", $0] }
        try #require(
            try bench.lockstep(bench.training(into: "alone") + settings).status == 0)

        let script = """
            run=$0 host=\(hosts.host(2))
            "$@" 2>"$run.log" & child=$!
            until ls -d "$run"/checkpoints/step-* >/dev/null 2>&1 || ! kill -0 $child; do
                sleep 0.01
            done
            touch \(hosts.folder)/dead-$host
            \(loss.rawValue)
            wait $child; status=$?; cat "$run.log" >&2
            # The processes of the lost host end by themselves.
            for i in $(seq 600); do [ -z "$(ip netns pids $host)" ] && exit $status; sleep 0.1; done
            exit 1
            """
        let outcome = try Launch.run(
            "bash",
            ["-c", script, bench.path("run")] + hosts.start("supervise")
                + ["--backoff", "1", "--", Workbench.lockstep]
                + bench.training(into: "run") + settings, seconds: 240)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(
            outcome.sentences.contains(
                "launch/supervise: \(hosts.host(2)) did not answer or did not show the run's "
                    + "folder; 2 slots are left."), "\(outcome.errors)")
        #expect(outcome.errors.contains(" on 2 ranks x 1 thread on 2 hosts, into "))
        #expect(try bench.state(steps) == bench.state(steps, of: "alone"))
    }

    @Test("a host that does not answer or does not share the folder is refused at the start")
    func unfitHostsAreRefusedAtTheStart() throws {
        let hosts = try Hosts("u")
        let command = ["--", Workbench.lockstep, "train", "a.toml", "--out"]
        let words = Array(hosts.start("supervise").dropFirst())
        let unshared = try Launch.run("ip", words + command + ["\(hosts.folder)/private/new/run"])
        #expect(unshared.status == 78)
        #expect(
            unshared.errors
                == "launch/supervise: \(hosts.folder)/private: is not shared with "
                + "\(hosts.host(3)), so a restart there would not find the run; give --out a "
                + "folder that all hosts share.\n")
        #expect(try hosts.temporary.names("private").isEmpty)

        try hosts.temporary.write("dead-\(hosts.host(2))", "")
        let silent = try Launch.run("ip", words + command + ["\(hosts.folder)/run"])
        #expect(silent.status == 78)
        #expect(
            silent.errors
                == "launch/supervise: \(hosts.host(2)): does not answer; check that this machine "
                + "can log in there without a password, or remove it from \(hosts.folder)/hosts.\n")
    }

    @Test("training names the hosts that do not share its folder")
    func trainingNamesHostsThatDoNotShareItsFolder() throws {
        let bench = try Workbench()
        let hosts = try Hosts("w")
        for (folder, isShared) in [("private", false), (".", true)] {
            let outcome = try Launch.run(
                "ip",
                Array(hosts.start("mpirun").dropFirst())
                    + ["--", Workbench.lockstep, "train", bench.path("recipe.toml")]
                    + ["--data", bench.data, "--out", "\(hosts.folder)/\(folder)/run"])
            #expect(outcome.status == 0, "\(outcome.errors)")
            let warning =
                "lockstep[rank 0 on \(hosts.host(1))]: warning: \(hosts.folder)/private/run is not "
                + "shared with \(hosts.host(3)), so a job whose first rank is on "
                + "such a host cannot resume the run"
            #expect(outcome.errors.contains(warning) != isShared, "\(outcome.errors)")
        }
    }
}
