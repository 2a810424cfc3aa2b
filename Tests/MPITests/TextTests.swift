import MPI
import TestSupport
import Testing

/// Tests the exchanges of texts between ranks.
@Suite struct TextTests {
    @Test("texts reach the ranks that need them", arguments: [1, 2, 3, 5, 8])
    func textsArrive(ranks: Int) throws {
        let outcome = try Launch.probe(ranks: ranks, "texts")
        try #require(outcome.status == 0, "\(outcome.errors)")
        let reports: [TextsReport] = try outcome.reports()
        try #require(reports.count == ranks)
        for (rank, report) in reports.enumerated() {
            #expect(
                report.gathered == (rank == 0 ? (0..<ranks).map { "host \($0 / 3)\nline" } : []))
            let names = (0..<ranks).map { $0 == 1 ? "" : "host \($0)" }
            #expect(report.gatheredOnTwo == (rank < 2 ? names : []))
            #expect(report.first == (ranks > 2 ? "reason 2" : nil))
            #expect(report.none == nil)
            #expect(report.broadcast == "größer")
            #expect(report.empty == "")
            #expect(report.areSame && report.areSameOnSome)
            #expect(report.lastDiffers == (ranks > 1))
            let alike = (0..<ranks).filter { $0 % 2 == rank % 2 }
            #expect(report.groupSum == Int64(alike.reduce(0, +)))
        }
    }

    @Test("every rank but the first is below one other in the tree", arguments: [1, 2, 7, 16, 100])
    func treeHoldsEveryRankOnce(size: Int) {
        let trees = (0..<size).map { BinomialTree(rank: $0, size: size) }
        #expect(trees[0].parent == nil && trees[0].subtree == 0..<size)
        for (rank, tree) in trees.enumerated() {
            #expect([rank] + tree.children.flatMap { Array($0) } == Array(tree.subtree))
            for child in tree.children {
                #expect(trees[child.lowerBound].parent == rank)
                #expect(trees[child.lowerBound].subtree == child)
            }
            // The number of messages is that of the tree's levels.
            #expect(1 << tree.children.count < 2 * size)
        }
    }
}
