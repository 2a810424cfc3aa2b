import Data
import TestSupport
import Testing

@Suite struct SampleOrderTests {
    /// Returns one epoch's offsets in the order of visits.
    private func epoch(_ number: Int, of order: SampleOrder) -> [Int] {
        let first = number * order.windowsPerEpoch
        return (first..<first + order.windowsPerEpoch).map { order.offset(ofSample: $0) }
    }

    @Test(
        "every epoch visits every window once",
        arguments: [
            (2, 1), (3, 1), (3, 2), (5, 2), (9, 8), (10, 8), (17, 8), (64, 1), (65, 1), (66, 1),
            (100, 7), (1000, 3), (1025, 4), (4097, 1), (10_000, 64), (100_003, 10), (70_000, 1),
        ])
    func everyEpochVisitsEveryWindowOnce(tokenCount: Int, contextLength: Int) throws {
        let order = try SampleOrder(
            seed: 1337, tokenCount: tokenCount, contextLength: contextLength)
        #expect(order.windowsPerEpoch == max(1, (tokenCount - contextLength) / contextLength))
        for number in [0, 1, 2, 1000] {
            let sorted = epoch(number, of: order).sorted()
            let phase = try #require(sorted.first)
            #expect(phase >= 0 && phase < contextLength)
            #expect(sorted == sorted.indices.map { phase + $0 * contextLength })
            let last = try #require(sorted.last)
            #expect(last + contextLength + 1 <= tokenCount)
        }
    }

    @Test("seeds and epochs have different orders")
    func seedsAndEpochsDiffer() throws {
        let one = try SampleOrder(seed: 1, tokenCount: 10_000, contextLength: 10)
        let two = try SampleOrder(seed: 2, tokenCount: 10_000, contextLength: 10)
        #expect(epoch(0, of: one) == epoch(0, of: one))
        #expect(epoch(0, of: one) != epoch(0, of: two))
        let windows = { (number: Int) in epoch(number, of: one).map { $0 / 10 } }
        #expect(windows(0) != windows(1))
        #expect(Set((0..<50).map { epoch($0, of: one).min() }).count == 10)
    }

    @Test("the order equals the recorded one")
    func orderEqualsTheRecordedOne() throws {
        // A later version can resume a run only with these numbers. A Python implementation of
        // Philox and the network gave the same ones.
        let order = try SampleOrder(seed: 1337, tokenCount: 1_003_854, contextLength: 64)
        #expect((0..<4).map { order.offset(ofSample: $0) } == [195_255, 986_167, 791_991, 763_063])
        #expect(order.offset(ofSample: 1_000_000_000_000) == 60_879)
    }

    /// Over many seeds, each window is the first about equally often (chi-square with 15 degrees of
    /// freedom: 44.3 has a probability of 1e-4), and consecutive windows of the order are rarely
    /// neighbors.
    @Test("permutations look uniform")
    func permutationsLookUniform() throws {
        let seeds = 4000
        var firsts = [Int](repeating: 0, count: 16)
        var successors = 0
        for seed in 0..<seeds {
            let order = try SampleOrder(seed: UInt64(seed), tokenCount: 17, contextLength: 1)
            firsts[order.offset(ofSample: 0)] += 1
            if order.offset(ofSample: 1) == order.offset(ofSample: 0) + 1 { successors += 1 }
        }
        let expected = Double(seeds) / 16
        let chiSquare = firsts.reduce(0.0) {
            $0 + (Double($1) - expected) * (Double($1) - expected) / expected
        }
        #expect(chiSquare < 44.3)
        #expect((150...350).contains(successors))  // The expectation is 15/16 * 4000 / 15 = 250.
    }

    @Test("context lengths that do not fit are refused")
    func contextsThatDoNotFitAreRefused() throws {
        expectFailure(.badData, "context_length = 10:", "10 tokens", "at most 9.") {
            _ = try SampleOrder(seed: 0, tokenCount: 10, contextLength: 10)
        }
        _ = try SampleOrder(seed: 0, tokenCount: 10, contextLength: 9)
        expectFailure(.badData, "1 token,", "at least two") {
            _ = try SampleOrder(seed: 0, tokenCount: 1, contextLength: 1)
        }
        expectFailure(.configuration, "context_length = 0:") {
            _ = try SampleOrder(seed: 0, tokenCount: 10, contextLength: 0)
        }
        expectFailure(.configuration, "context_length = -1:") {
            _ = try ValidationWindows(tokenCount: 10, contextLength: -1)
        }
        expectFailure(.badData, "at least two") {
            _ = try ValidationWindows(tokenCount: 1, contextLength: 64)
        }
    }

    @Test(
        "validation covers every target once",
        arguments: [(2, 1), (2, 64), (10, 3), (10, 9), (10, 10), (65, 64), (129, 64), (130, 64)])
    func validationCoversEveryTargetOnce(tokenCount: Int, contextLength: Int) throws {
        let windows = try ValidationWindows(tokenCount: tokenCount, contextLength: contextLength)
        #expect(windows.targetCount == tokenCount - 1)
        var targets: [Int] = []
        for index in 0..<windows.count {
            let (offset, length) = windows.window(index)
            #expect(length >= 1 && length <= contextLength)
            #expect(length == contextLength || index == windows.count - 1)
            targets += offset + 1..<offset + length + 1
        }
        #expect(targets == Array(1..<tokenCount))
    }
}
