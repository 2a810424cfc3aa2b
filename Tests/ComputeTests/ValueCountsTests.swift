import Compute
import Testing

/// Tests of the counts of values in logarithmic bins.
@Suite struct ValueCountsTests {
    private func counts(_ values: [Float]) -> ValueCounts {
        let counts = ValueCounts()
        values.withUnsafeBufferPointer { counts.add($0) }
        return counts
    }

    /// Numbers of all magnitudes and both signs, and limits of bins.
    private static let values: [Float] = {
        let random = CounterRandom(key: 3)
        var values: [Float] = [
            0, -0.0, 1, -1, 1.125, -1.125, 2, -2, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
            .leastNormalMagnitude, -.leastNormalMagnitude, .greatestFiniteMagnitude,
            -.greatestFiniteMagnitude,
        ]
        for index in 0..<20_000 {
            let size = Float(sign: .plus, exponent: index % 90 - 60, significand: 1)
            values.append(size * Float(2 * random.uniform(UInt64(index)) - 1))
        }
        return values
    }()

    @Test("every value is in the bin whose limits hold it")
    func binsHoldValues() {
        let counts = counts(Self.values)
        let bins = counts.bins
        #expect(bins.reduce(0) { $0 + $1.count } == Self.values.count)
        #expect(counts.count == Self.values.count)
        for bin in bins {
            let expected = Self.values.count { bin.limits.contains(Double($0)) }
            #expect(bin.count == expected, "\(bin)")
        }
        #expect(
            zip(bins, bins.dropFirst()).allSatisfy { $0.limits.upperBound <= $1.limits.lowerBound })
        // A bin is at most an eighth wider than its lower magnitude, except around 0.
        for bin in bins where bin.limits.lowerBound > 1e-30 {
            #expect(bin.limits.upperBound <= bin.limits.lowerBound * 1.125)
        }
        #expect(counts.minimum == -.greatestFiniteMagnitude)
        #expect(counts.maximum == .greatestFiniteMagnitude)
    }

    @Test("sums are those of the values")
    func sums() {
        let values = Self.values.filter { abs($0) < 1e8 }
        let counts = counts(values)
        let sum = values.reduce(0.0) { $0 + Double($1) }
        let squares = values.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(abs(counts.sum - sum) <= 1e-12 * squares.squareRoot())
        #expect(abs(counts.sumOfSquares / squares - 1) < 1e-8)
        #expect(self.counts([-1, -0.5, 3]).sum == 1.5)
        #expect(self.counts([-1, -0.5, 3]).sumOfSquares == 10.25)
        #expect(self.counts([.leastNonzeroMagnitude]).sum == Double(Float.leastNonzeroMagnitude))
    }

    @Test("any division and order give the same counts and bits of sums")
    func divisions() {
        let whole = counts(Self.values)
        for parts in [2, 3, 7] {
            let joined = ValueCounts()
            for part in (0..<parts).reversed() {
                joined.add(
                    counts(
                        Self.values.indices.filter { $0 % parts == part }.reversed().map {
                            Self.values[$0]
                        }))
            }
            #expect(joined.numbers.elements.elementsEqual(whole.numbers.elements))
            #expect(joined.sum.bitPattern == whole.sum.bitPattern)
            #expect(joined.sumOfSquares.bitPattern == whole.sumOfSquares.bitPattern)
            #expect(joined.minimum == whole.minimum && joined.maximum == whole.maximum)
        }
        whole.removeAll()
        #expect(whole.count == 0 && whole.bins.isEmpty && whole.minimum == .infinity)
    }

    @Test("values that are not finite are left out")
    func nonFinite() {
        let counts = counts([.nan, .infinity, -.infinity, -.nan, 2])
        #expect(counts.count == 1 && counts.minimum == 2 && counts.maximum == 2)
        #expect(counts.sum == 2)
    }
}
