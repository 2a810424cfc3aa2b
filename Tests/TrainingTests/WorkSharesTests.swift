import Testing
import Training

@Suite struct WorkSharesTests {
    @Test(
        "every piece is taken once, and results are assembled in order",
        arguments: [0, 1, 2, 3, 7, 16, 25, 100], [1, 2, 3, 4, 7, 64])
    func everyPieceIsTakenOnce(count: Int, ranks: Int) {
        let shares = WorkShares(count: count, size: ranks)
        var gathered: [Double] = []
        var taken: [Int] = []
        for rank in 0..<ranks {
            let pieces = shares.pieces(ofRank: rank)
            #expect(pieces.count <= shares.slots)
            taken += pieces
            // The content of unused slots must not count.
            gathered += pieces.map { Double($0 * $0) }
            gathered += Array(repeating: .nan, count: shares.slots - pieces.count)
        }
        #expect(taken.sorted() == Array(0..<count))
        #expect(shares.assemble(gathered) == (0..<count).map { Double($0 * $0) })
    }
}
