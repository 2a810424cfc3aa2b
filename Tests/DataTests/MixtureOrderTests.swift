import Data
import TestSupport
import Testing

@Suite struct MixtureOrderTests {
    private static let period = 1 << 16
    private static let tokenCounts = [5_000, 70_001, 333]
    private static let contextLength = 10

    private func order(seed: UInt64 = 5, weights: [Double] = [3, 6, 1]) throws -> MixtureOrder {
        try MixtureOrder(
            seed: seed, tokenCounts: Self.tokenCounts, weights: weights,
            contextLength: Self.contextLength)
    }

    /// The data set of a position, and the position within it.
    private func place(_ offset: Int) -> (part: Int, offset: Int) {
        var rest = offset
        for (part, count) in Self.tokenCounts.enumerated() {
            if rest < count { return (part, rest) }
            rest -= count
        }
        return (-1, rest)
    }

    @Test("every period has the share of each data set, in another order")
    func everyPeriodHasTheShares() throws {
        let order = try order()
        var sequences: [[Int]] = []
        for period in 0..<2 {
            let parts = (0..<Self.period).map {
                place(order.offset(ofSample: period * Self.period + $0)).part
            }
            let counts = (0..<3).map { part in parts.count { $0 == part } }
            // 0.3, 0.6 and 0.1 of 65,536 are 19,660.8, 39,321.6 and 6,553.6.
            #expect(counts == [19_661, 39_322, 6_553] || counts == [19_661, 39_321, 6_554])
            sequences.append(parts)
            // The start of a period has the shares too: five standard deviations.
            for (part, share) in [0.3, 0.6, 0.1].enumerated() {
                let found = parts.prefix(1000).count { $0 == part }
                let deviation = (1000 * share * (1 - share)).squareRoot()
                #expect(abs(Double(found) - 1000 * share) < 5 * deviation)
            }
        }
        #expect(sequences[0] != sequences[1])
    }

    @Test("a whole period visits every window of a data set equally often")
    func wholePeriodVisitsWindowsEqually() throws {
        let order = try order()
        let places = (0..<Self.period).map { place(order.offset(ofSample: $0)) }
        for part in 0..<3 {
            let tokens = Self.tokenCounts[part]
            let offsets = places.filter { $0.part == part }.map(\.offset)
            #expect(offsets.allSatisfy { $0 >= 0 && $0 + Self.contextLength < tokens })
            // Phases are less than a window.
            let counts = Dictionary(
                offsets.map { ($0 / Self.contextLength, 1) }, uniquingKeysWith: +)
            let windows = (tokens - Self.contextLength) / Self.contextLength
            let least = offsets.count / windows
            #expect(Set(counts.keys) == Set(0..<windows))
            #expect(counts.values.allSatisfy { $0 == least || $0 == least + 1 })
        }
    }

    @Test("the counts of the first samples are those of the order")
    func countsAreThoseOfTheOrder() throws {
        let order = try order()
        for count in [0, 1, 777, Self.period, Self.period + 5] {
            var counts = [0, 0, 0]
            for sample in 0..<count { counts[place(order.offset(ofSample: sample)).part] += 1 }
            #expect(order.sampleCounts(ofFirst: count) == counts)
        }
    }

    @Test("the order depends on the seed and the weights only")
    func orderDependsOnSeedAndWeights() throws {
        func offsets(_ order: MixtureOrder) -> [Int] { (0..<500).map(order.offset(ofSample:)) }
        let first = offsets(try order())
        #expect(first == offsets(try order(weights: [6, 12, 2])))
        #expect(first != offsets(try order(seed: 6)))
        #expect(first != offsets(try order(weights: [1, 1, 1])))
    }

    @Test("one data set without weights has its own order")
    func oneDataSetHasItsOwnOrder() throws {
        let plain = try SampleOrder(seed: 9, tokenCount: 5000, contextLength: 7)
        let mixture = try MixtureOrder(seed: 9, tokenCount: 5000, contextLength: 7)
        for sample in [0, 1, 700, 5000, 100_000] {
            #expect(plain.offset(ofSample: sample) == mixture.offset(ofSample: sample))
        }
        #expect(mixture.samplesWithoutRepeat == plain.windowsPerEpoch)
        #expect(mixture.sampleCounts(ofFirst: 12) == [12])
    }

    @Test("a weight below one sample per period is refused")
    func smallWeightsAreRefused() throws {
        expectFailure(.configuration, "[[data.mixture]] 2: weight = 1e-06", "1/65536") {
            _ = try MixtureOrder(
                seed: 1, tokenCounts: [100, 100], weights: [1, 1e-6], contextLength: 10)
        }
    }
}
