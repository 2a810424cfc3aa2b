import MultiRankSupport
import Testing

/// The reducer on real ranks: the same bytes, whatever the layout.
@Suite struct GradientReducerTests {
    private static let rankCounts = [1, 2, 3, 4, 5, 6, 8]

    private func reports(ranks: Int, _ arguments: [String]) throws -> [ReduceReport] {
        let outcome = try Launch.run(
            "\(Launch.root)/launch/mpirun",
            [
                "--ranks", "\(ranks)", "--oversubscribe", "\(Launch.products)/multirank-probe",
                "reduce",
            ]
                + arguments)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let reports: [ReduceReport] = try outcome.reports()
        #expect(reports.map(\.rank) == Array(0..<ranks))
        #expect(reports.allSatisfy { $0.size == ranks })
        return reports
    }

    @Test(arguments: [8, 12])
    func theSumHasTheTreesBytesOnEveryRankCount(lanes: Int) throws {
        var hashes: Set<[String]> = []
        for ranks in Self.rankCounts {
            // Several buckets, the last one short, and segments of unequal size.
            let reports = try reports(
                ranks: ranks, ["lanes=\(lanes)", "count=5008", "bucket=4096", "slots=2", "steps=3"])
            for report in reports {
                #expect(report.elementsOffTree == 0)
                // Another order of additions would have shown.
                #expect(report.elementsOrderSensitive > 4000)
                #expect(report.hashes.count == 3)
                #expect(Set(report.hashes).count == 3)
                hashes.insert(report.hashes)
            }
            #expect(reports.flatMap(\.lanes) == Array(0..<lanes))
        }
        #expect(hashes.count == 1)
    }

    @Test(arguments: [
        ["lanes=8", "order=forward"], ["lanes=8", "order=scattered"], ["lanes=8", "slots=1"],
        ["lanes=8", "bucket=64"], ["lanes=8", "bucket=1000000"], ["lanes=8", "threads=3"],
        ["lanes=3", "count=16"], ["lanes=3", "count=32"],
        ["lanes=7", "count=65536", "bucket=40000"],
    ])
    func bucketsOrderAndThreadsDoNotMatter(arguments: [String]) throws {
        for report in try reports(ranks: 3, arguments) { #expect(report.elementsOffTree == 0) }
    }

    @Test func memoryGrowsWithTheLogarithmOfTheLanes() throws {
        // 16 lanes on one rank: a stack of at most five sums; on 16 ranks' worth of one lane: one.
        let one = try reports(ranks: 1, ["lanes=16", "steps=3"])
        #expect(one.map(\.buffers) == [5])
        #expect(one.map(\.bytesSent) == [0])
        #expect(try reports(ranks: 4, ["lanes=4"]).map(\.buffers) == [1, 1, 1, 1])
    }

    @Test func aRankSendsNoMoreThanARingWould() throws {
        // 2 (P - 1) / P of the gradient, when every rank has one node.
        for report in try reports(ranks: 4, ["lanes=8", "count=4096"]) {
            #expect(report.bytesSent == 2 * 3 * 4096)
        }
    }

    @Test func moreRanksThanLanesAreRefused() throws {
        let outcome = try Launch.probe(ranks: 3, "reduce", "lanes=2")
        #expect(outcome.status == 78)
        #expect(
            outcome.sentences == [
                "lockstep: 3 ranks are more than the 2 lanes into which global_batch 2 is dealt; "
                    + "start at most 2 ranks, or set global_batch and lanes to 3."
            ])
    }
}
