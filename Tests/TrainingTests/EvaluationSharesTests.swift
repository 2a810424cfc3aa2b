import Testing
import Training

/// Tests that any number of ranks evaluates every window once and that the sum has the same bits.
@Suite struct EvaluationSharesTests {
    @Test(
        "every window is evaluated once, and sums keep their order",
        arguments: [0, 1, 2, 3, 7, 16, 100], [1, 2, 3, 5])
    func everyWindowIsTakenOnceAndSumsKeepTheirOrder(windowCount: Int, microBatch: Int) {
        // Sums of numbers whose order matters to the last bit.
        func loss(_ chunk: Range<Int>) -> Double {
            chunk.reduce(0) { $0 + 1 / (3 + Double($1)) * ($1 % 2 == 0 ? 1e8 : 1e-8) }
        }
        var expected = 0.0
        for first in stride(from: 0, to: windowCount, by: microBatch) {
            expected += loss(first..<min(windowCount, first + microBatch))
        }
        for size in [1, 2, 3, 4, 7, 64] {
            let shares = EvaluationShares(
                windowCount: windowCount, microBatch: microBatch, size: size)
            var windows: [Int] = []
            var gathered: [Double] = []
            for rank in 0..<size {
                let chunks = shares.chunks(ofRank: rank)
                #expect(chunks.count <= shares.slots)
                #expect(chunks.allSatisfy { !$0.isEmpty && $0.count <= microBatch })
                windows += chunks.flatMap(Array.init)
                // The content of unused slots must not count.
                gathered += chunks.map(loss)
                gathered += Array(repeating: .nan, count: shares.slots - chunks.count)
            }
            #expect(windows.sorted() == Array(0..<windowCount))
            #expect(shares.total(gathered).bitPattern == expected.bitPattern, "\(size) ranks")
        }
    }
}
