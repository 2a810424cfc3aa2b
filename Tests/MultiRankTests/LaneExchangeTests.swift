import TestSupport
import Testing

@Suite struct LaneExchangeTests {
    @Test("every rank gets the same totals on every rank count", arguments: [8, 12])
    func everyRankGetsTheSameTotals(lanes: Int) throws {
        var seen: Set<[UInt64]> = []
        for ranks in [1, 2, 3, 5, 8] {
            let outcome = try Launch.probe(ranks: ranks, "statistics", "lanes=\(lanes)", "asking=0")
            #expect(outcome.status == 0, "\(outcome.errors)")
            let reports: [StatisticsReport] = try outcome.reports()
            #expect(reports.map(\.rank) == Array(0..<ranks))
            for report in reports {
                #expect(report.size == ranks)
                #expect(report.targets == Double(lanes * (lanes + 1) / 2))
                #expect(report.laneLosses.count == lanes)
                let expected: [UInt64] = (0..<ranks).map { $0 == 0 ? 1 : $0 == 1 ? 2 : 0 }
                #expect(report.requests == expected)
                #expect(report.anyRequest == (ranks == 1 ? 1 : 3))
                seen.insert([report.lossBits] + report.laneLosses.map(\.bitPattern))
            }
        }
        #expect(seen.count == 1)
    }
}
