import Collectives
import Compute
import TestSupport
import Testing

/// Tests that the reducer gives the same bytes on any layout of real ranks.
@Suite(.serialized) struct GradientReducerTests {
    /// Returns the reports of all ranks, one case of lanes and wire format after another.
    private func reports(
        ranks: Int, _ arguments: [String], cases: Int = 1, environment: [String: String] = [:]
    ) throws -> [ReduceReport] {
        let outcome = try Launch.run(
            "\(Launch.root)/launch/mpirun",
            [
                "--ranks", "\(ranks)", "--oversubscribe", "\(Launch.products)/multirank-probe",
                "reduce",
            ]
                + arguments, environment: environment)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let reports: [ReduceReport] = try outcome.reports()
        #expect(reports.map(\.rank) == (0..<cases).flatMap { _ in 0..<ranks })
        #expect(reports.allSatisfy { $0.size == ranks })
        return reports
    }

    /// The results that must not depend on the layout.
    private struct Result: Hashable {
        let hashes: [String]
        let squares: [UInt64]
    }

    /// Arguments for an arena of several buckets whose last block is short.
    private static let arena = ["count=100016", "bucket=131072", "slots=2"]

    /// The number of ranks and, if there are several hosts, the host of each rank.
    private static let layouts: [(ranks: Int, hosts: String)] = [
        (1, ""), (2, ""), (3, ""), (4, ""), (6, ""), (8, ""), (2, "0,1"), (3, "0,1,1"),
        (3, "0,1,2"), (4, "0,0,1,1"), (4, "0,1,0,1"), (4, "0,1,2,3"), (6, "0,0,0,1,1,1"),
        (6, "0,1,1,2,0,2"), (8, "0,0,0,1,1,2,2,2"),
    ]

    @Test("the sum has the tree's bytes on every layout")
    func sumHasTheBytesOfTheTree() throws {
        let wires = ["fp32", "bf16"]
        let cases = [8, 11, 12].flatMap { lanes in wires.map { "\(lanes) \($0)" } }
        var results: [String: Set<Result>] = [:]
        for (ranks, hosts) in Self.layouts {
            var arguments = Self.arena + ["lanes=8,11,12", "wires=fp32,bf16"]
            if !hosts.isEmpty { arguments.append("hosts=\(hosts)") }
            let reports = try reports(ranks: ranks, arguments, cases: cases.count)
            for (index, report) in reports.enumerated() {
                let name = cases[index / ranks]
                let layout = Comment("\(name) on \(ranks) \(hosts)")
                #expect(report.elementsOffTree == 0, layout)
                #expect(report.wrongSquares == 0, layout)
                // Many elements would differ with another order of additions, fewer after rounding
                // to bfloat16.
                let least = name.hasSuffix("fp32") ? 50_000 : 25_000
                #expect(report.elementsOrderSensitive > least, layout)
                #expect(Set(report.hashes).count == 2)
                #expect(
                    report.hosts == (hosts.isEmpty ? 1 : Set(hosts.split(separator: ",")).count))
                results[name, default: []].insert(
                    Result(hashes: report.hashes, squares: report.squares))
            }
        }
        #expect(results.count == cases.count && results.values.allSatisfy { $0.count == 1 })
    }

    @Test("lanes that move between steps change no byte")
    func movingLanes() throws {
        for sharded in [0, 1] {
            var results = [Set<Result>](repeating: [], count: 4)
            for (ranks, hosts) in Self.layouts where ranks < 5 && ranks != 2 {
                var arguments =
                    Self.arena + [
                        "lanes=16,20", "wires=fp32,bf16", "moves=1", "steps=6",
                        "sharded=\(sharded)",
                    ]
                if !hosts.isEmpty { arguments.append("hosts=\(hosts)") }
                let reports = try reports(ranks: ranks, arguments, cases: results.count)
                for (index, report) in reports.enumerated() {
                    let layout = Comment("\(ranks) \(hosts) \(report.divisions)")
                    #expect(report.elementsOffTree == 0, layout)
                    #expect(report.wrongSquares == 0, layout)
                    #expect(Set(report.divisions).count > (ranks > 1 ? 1 : 0), layout)
                    results[index / ranks].insert(
                        Result(hashes: report.hashes, squares: report.squares))
                }
            }
            #expect(results.allSatisfy { $0.count == 1 })
        }
    }

    @Test("shards are owned once and gathered completely")
    func shardsAreOwnedOnceAndGathered() throws {
        var results = [Set<Result>](repeating: [], count: 2)
        for (ranks, hosts) in [(1, "")] + Self.layouts.filter({ $0.ranks > 2 }) {
            var arguments = Self.arena + ["lanes=8", "wires=fp32,bf16", "sharded=1"]
            if !hosts.isEmpty { arguments.append("hosts=\(hosts)") }
            let reports = try reports(ranks: ranks, arguments, cases: results.count)
            #expect(reports.reduce(0) { $0 + $1.owned } == 2 * 100_016)
            for (index, report) in reports.enumerated() {
                #expect(report.elementsOffTree == 0, "\(ranks) \(hosts)")
                #expect(report.wrongSquares == 0, "\(ranks) \(hosts)")
                results[index / ranks].insert(
                    Result(hashes: report.hashes, squares: report.squares))
            }
        }
        #expect(results.allSatisfy { $0.count == 1 })
    }

    @Test(
        "buckets, order and threads do not change the sum",
        arguments: [
            ["lanes=8", "order=forward"], ["lanes=8", "order=scattered"], ["lanes=8", "slots=1"],
            ["lanes=8", "bucket=64"], ["lanes=8", "bucket=10000000"], ["lanes=8", "threads=3"],
            ["lanes=8", "threads=3", "wires=bf16"],
            ["lanes=3", "count=16"], ["lanes=3", "count=16400"],
            ["lanes=7", "count=65536", "bucket=70000"],
        ])
    func bucketsOrderAndThreadsDoNotMatter(arguments: [String]) throws {
        for hosts in ["0,0,0", "0,1,2"] {
            let all = ["count=70000", "bucket=65536", "hosts=\(hosts)"] + arguments
            for report in try reports(ranks: 3, all) {
                #expect(report.elementsOffTree == 0)
                #expect(report.wrongSquares == 0)
            }
        }
    }

    @Test("memory grows with the logarithm of the lanes")
    func memoryGrowsWithTheLogarithmOfTheLanes() throws {
        // 16 lanes on one rank need a stack of at most five sums; one lane on each rank needs one.
        let one = try reports(ranks: 1, ["lanes=16", "steps=3"])
        #expect(one.map(\.buffers) == [5])
        #expect(one.map(\.bytesSent) == [0])
        #expect(try reports(ranks: 4, ["lanes=4"]).map(\.buffers) == [1, 1, 1, 1])
    }

    @Test("hosts send no more than a ring would")
    func hostsSendNoMoreThanARingWould() throws {
        // Each host sends 2 (H - 1) / H of the gradient if it has one node, and half of that in
        // bf16.
        let count = 16 * 16_384
        let arguments = ["lanes=8", "count=\(count)", "bucket=262144"]
        for report in try reports(ranks: 4, arguments + ["hosts=0,1,2,3"]) {
            #expect(report.bytesSent == 2 * 3 * count)
        }
        for wire in ["fp32", "bf16"] {
            let ofHosts = try reports(ranks: 4, arguments + ["hosts=0,0,1,1", "wires=\(wire)"])
            let bytes = wire == "bf16" ? 2 : 4
            #expect(ofHosts.map(\.bytesSent) == Array(repeating: count / 2 * bytes, count: 4))
        }
        // Within a host nothing is sent.
        #expect(try reports(ranks: 4, arguments).map(\.bytesSent) == [0, 0, 0, 0])
    }

    @Test(
        "ranks send the messages that the model of a cluster counts",
        arguments: [("0,1,2,3", 1), ("0,0,1,1", 2), ("0,1", 1), ("0,1,2,3,4,5", 1)])
    func ranksSendTheCountedMessages(hosts: String, ranksPerHost: Int) throws {
        let places = hosts.split(separator: ",")
        let arguments = ["count=300016", "bucket=131072", "hosts=\(hosts)"]
        for (lanes, wire, scatters) in [
            (8, WireFormat.fp32, false), (11, .bf16, false), (12, .fp32, true),
        ] {
            let traffic = ExchangeTraffic(
                elementCount: 300_016, tree: ReductionTree(laneCount: lanes),
                hosts: places.count / ranksPerHost, ranksPerHost: ranksPerHost,
                bucketBytes: 131_072, wire: wire, scatters: scatters)
            let all = try reports(
                ranks: places.count,
                arguments + [
                    "lanes=\(lanes)", "wires=\(wire.rawValue)", "sharded=\(scatters ? 1 : 0)",
                ])
            for report in all {
                let loads = traffic.partition.buckets.indices.map {
                    traffic.loads(segment: report.rank % ranksPerHost, bucket: $0)[
                        report.rank / ranksPerHost]
                }
                #expect(report.bytesSent == loads.reduce(0) { $0 + $1.sentBytes })
                #expect(report.messagesSent == loads.reduce(0) { $0 + $1.sentMessages })
            }
        }
    }

    @Test("without room for shared memory ranks send messages")
    func withoutRoomForSharedMemoryRanksSendMessages() throws {
        let there = "/a folder that is not there"
        let arguments = Self.arena + ["lanes=8"]
        let alone = try reports(ranks: 3, arguments)
        let apart = try reports(
            ranks: 3, arguments,
            environment: ["OMPI_MCA_osc_sm_backing_directory": there])
        for (report, shared) in zip(apart, alone) {
            #expect(report.hosts == 3)
            #expect(report.notice == "\(there) cannot be used; mount a tmpfs there")
            #expect(shared.hosts == 1)
            #expect(shared.notice == "")
            #expect(report.hashes == shared.hashes)
            #expect(report.squares == shared.squares)
            #expect(report.bytesSent > 0)
        }
    }

    @Test("the environment splits hosts")
    func theEnvironmentSplitsHosts() throws {
        let all = try reports(
            ranks: 4, Self.arena + ["lanes=8"], environment: ["LOCKSTEP_RANKS_PER_NODE": "3"])
        #expect(all.map(\.hosts) == [2, 2, 2, 2])
        #expect(all.map(\.elementsOffTree) == [0, 0, 0, 0])
        let outcome = try Launch.probe(
            ranks: 2, "reduce", environment: ["LOCKSTEP_RANKS_PER_NODE": "many"])
        #expect(outcome.status == 78)
        #expect(outcome.errors.contains("LOCKSTEP_RANKS_PER_NODE = \"many\": is not"))
    }

    @Test("more ranks than lanes are refused")
    func moreRanksThanLanesAreRefused() throws {
        let outcome = try Launch.probe(ranks: 3, "reduce", "lanes=2")
        #expect(outcome.status == 78)
        #expect(
            outcome.sentences == [
                "lockstep: 3 ranks: are more than the 2 lanes into which global_batch = 2 is "
                    + "divided; start at most 2 ranks, or set global_batch and lanes to 3."
            ])
    }
}
