import Statistics
import Testing

/// Tests of samples in blocks.
@Suite struct BlockedSampleTests {
    /// Three treatments in four blocks.
    private let values = [
        [2.31, 2.52, 2.18, 2.44], [2.36, 2.55, 2.25, 2.45], [2.49, 2.71, 2.33, 2.66],
    ]

    /// The mean square of the residuals is that of a two-way analysis of variance without
    /// interaction, computed by hand from the sums of squares.
    @Test("the noise is the residual of a two-way analysis of variance")
    func residuals() throws {
        let all = values.flatMap(\.self)
        let mean = all.reduce(0, +) / 12
        let total = all.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let rows = values.reduce(0) { sum, row in
            let own = row.reduce(0, +) / 4
            return sum + 4 * (own - mean) * (own - mean)
        }
        let columns = (0..<4).reduce(0.0) { sum, block in
            let own = values.reduce(0) { $0 + $1[block] } / 3
            return sum + 3 * (own - mean) * (own - mean)
        }
        let sample = BlockedSample(values)
        #expect(sample.degreesOfFreedom == 6)
        let variance = try #require(sample.residualVariance)
        #expect(abs(variance - (total - rows - columns) / 6) < 1e-14)
    }

    @Test("with two treatments, the interval is that of a paired t-test")
    func paired() throws {
        let sample = BlockedSample(Array(values.prefix(2)))
        let found = sample.difference(of: 1, from: 0, level: 0.95)
        let expected = Sample(zip(values[1], values[0]).map { $0 - $1 }).meanEstimate(level: 0.95)
        let (own, wanted) = (try #require(found.interval), try #require(expected.interval))
        #expect(abs(found.value - expected.value) < 1e-14)
        #expect(abs(own.lower - wanted.lower) < 1e-13 && abs(own.upper - wanted.upper) < 1e-13)
    }

    @Test("what a block adds to all treatments changes nothing")
    func blocks() throws {
        let shifts = [0.0, 5, -3, 11]
        let moved = values.map { row in zip(row, shifts).map { $0 + $1 } }
        let before = BlockedSample(values).difference(of: 2, from: 0, level: 0.9)
        let after = BlockedSample(moved).difference(of: 2, from: 0, level: 0.9)
        let (one, other) = (try #require(before.interval), try #require(after.interval))
        #expect(abs(one.lower - other.lower) < 1e-12 && abs(one.upper - other.upper) < 1e-12)
    }

    @Test("one block gives a difference without an interval")
    func single() {
        let sample = BlockedSample([[2], [2.5]])
        #expect(sample.residualVariance == nil)
        #expect(sample.difference(of: 1, from: 0, level: 0.95) == Estimate(0.5))
    }
}
