import Foundation
import TestSupport
import Testing

/// Tests of the reducer on two emulated hosts that are connected by TCP.
///
/// The tests need root, iproute2 and a kernel that lets root make network namespaces. Without them
/// they are skipped, and the report says so.
@Suite struct EmulatedClusterTests {
    private static let emulate = EmulatedCluster.script

    @Test(
        "two hosts reduce to the same bytes as one",
        .enabled(if: EmulatedCluster.isPossible, "root cannot make network namespaces here"))
    func twoHostsReduceToTheBytesOfOne() throws {
        let name = "t\(getpid())a"
        defer { _ = try? Launch.run(Self.emulate, ["down", "--name", name]) }
        let up = try Launch.run(Self.emulate, ["up", "2", "--rate", "1gbit", "--name", name])
        #expect(up.status == 0, "\(up.errors)")
        #expect(up.output == "\(name): lockstep-\(name)-h1 lockstep-\(name)-h2\n")
        let probe = "\(Launch.products)/multirank-probe"
        let arguments = ["reduce", "lanes=8", "count=40000", "bucket=65536"]
        let outcome = try Launch.run(
            Self.emulate, ["run", "--name", name, "--slots", "2", "--", probe] + arguments)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let reports: [ReduceReport] = try outcome.reports()
        #expect(reports.map(\.rank) == [0, 1, 2, 3])
        #expect(
            reports.map(\.host)
                == [1, 1, 2, 2].map { "lockstep-\(name)-h\($0)" })
        let alone = try Launch.run(probe, arguments).reports(ReduceReport.self)
        #expect(alone.count == 1)
        for report in reports {
            #expect(report.elementsOffTree == 0)
            #expect(report.hashes == alone.first?.hashes)
        }

        // On several hosts, rank 0 is named too.
        for rank in [0, 1] {
            let place = "rank \(rank) on lockstep-\(name)-h\(rank + 1)"
            let together = try Launch.run(
                Self.emulate, ["run", "--name", name, "--", probe, "agree", "failing=\(rank)"])
            #expect(together.status == 66)
            #expect(
                together.sentences == [
                    "lockstep: \(place): The file x\(rank) is not there; give another."
                ])
            let alone = try Launch.run(
                Self.emulate, ["run", "--name", name, "--", probe, "fail", "rank=\(rank)"])
            #expect(alone.status == 74)
            #expect(
                alone.sentences == ["lockstep: \(place): The disk is full; free some space."])
        }

        let status = try Launch.run(Self.emulate, ["status"])
        #expect(status.output.contains("lockstep-\(name)-h2  10.77.0.2/24  1Gbit  0 processes"))
        #expect(try Launch.run(Self.emulate, ["down", "--name", name]).status == 0)
        let left = try Launch.run("sh", ["-c", "ip netns list; ip link"])
        #expect(!left.output.contains("lockstep-\(name)"))
    }

    @Test(
        "taking hosts down ends their processes",
        .enabled(if: EmulatedCluster.isPossible, "root cannot make network namespaces here"))
    func downEndsProcesses() throws {
        let name = "t\(getpid())b"
        defer { _ = try? Launch.run(Self.emulate, ["down", "--name", name]) }
        #expect(try Launch.run(Self.emulate, ["up", "2", "--name", name]).status == 0)
        let again = try Launch.run(Self.emulate, ["up", "2", "--name", name])
        #expect(again.status == 78)
        let script = """
            ip netns exec lockstep-\(name)-h1 sleep 60 & sleep 0.5
            "$0" down --name \(name); wait
            """
        #expect(try Launch.run("sh", ["-c", script, Self.emulate], seconds: 20).status == 0)
        let gone = try Launch.run(Self.emulate, ["run", "--name", name, "--", "true"])
        #expect(gone.status == 78)
        #expect(
            gone.errors.hasPrefix("cluster/emulate: --name \(name): is not an emulated cluster; "))
    }

    @Test(
        "taking hosts down lets ranks checkpoint and leaves nothing",
        .enabled(if: EmulatedCluster.isPossible, "root cannot make network namespaces here"))
    func downLetsRanksCheckpointAndLeavesNothing() throws {
        let name = "t\(getpid())c"
        defer { _ = try? Launch.run(Self.emulate, ["down", "--name", name]) }
        #expect(try Launch.run(Self.emulate, ["up", "2", "--name", name]).status == 0)
        let folder = try TemporaryFolder(hasSpace: false)
        // Each rank reports its start and, when asked, exits as after a checkpoint.
        let rank = """
            trap 'sleep 2; touch "$0/saved-$OMPI_COMM_WORLD_RANK"; exit 75' USR1
            echo up; for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done
            """
        let script = """
            export TMPDIR=$1
            "$0" run --name \(name) -- sh -c "$2" "$1" >"$1/output" & child=$!
            until [ "$(grep -c up "$1/output")" = 2 ]; do sleep 0.1; done
            "$0" down --name \(name); wait $child
            """
        let outcome = try Launch.run("bash", ["-c", script, Self.emulate, folder.path, rank])
        #expect(outcome.status == 75, "\(outcome.errors)")
        #expect(try folder.names() == ["output", "saved-0", "saved-1"])
        let hosts = try Launch.run("ip", ["netns", "list"])
        #expect(!hosts.output.contains("lockstep-\(name)"))
    }

    @Test(
        "bad input is refused in one sentence",
        arguments: [
            ([], "<command>: is missing; "), (["go"], "\"go\": is not a command; "),
            (["up"], "<N>: is missing; "), (["up", "1"], "up 1: must be a number of hosts"),
            (["up", "201"], "up 201: must be a number of hosts"),
            (["up", "2", "3"], "up 2 3: has two numbers"),
            (["up", "2", "--rate", "fast"], "--rate fast: must be a number"),
            (["up", "2", "--rate"], "--rate: has no value; "),
            (["up", "2", "--name", "No"], "--name No: must be 1 to 12 lowercase"),
            (["up", "2", "--big"], "--big: is not an option; "),
            (["run", "--slots", "2"], "<command>: is missing; "),
            (["run", "--slots", "x", "--", "true"], "--slots x: must be a whole number"),
            (["down", "--everything"], "--everything: is not an option; "),
        ])
    func badInputIsRefusedInOneSentence(arguments: [String], beginning: String) throws {
        let outcome = try Launch.run(Self.emulate, arguments)
        #expect(outcome.status == 64)
        #expect(outcome.errors.hasPrefix("cluster/emulate: \(beginning)"))
        #expect(outcome.errors.split(separator: "\n").count == 1)
    }
}
