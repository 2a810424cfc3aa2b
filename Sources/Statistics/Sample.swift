/// Numbers drawn independently from one distribution.
package struct Sample: Sendable, Equatable {
    package let values: [Double]

    /// Creates a sample.
    ///
    /// - Parameter values: at least one value.
    package init(_ values: [Double]) {
        precondition(!values.isEmpty, "a sample has at least one value")
        self.values = values
    }

    package var count: Int { values.count }

    package var mean: Double { values.reduce(0, +) / Double(count) }

    /// The unbiased variance, with count - 1 in its denominator, or nil for a single value.
    package var variance: Double? {
        guard count >= 2 else { return nil }
        let mean = mean
        return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count - 1)
    }

    /// The square root of `variance`.
    package var standardDeviation: Double? { variance?.squareRoot() }

    /// Returns the mean with Student's interval (count - 1 degrees of freedom).
    package func meanEstimate(level: Double) -> Estimate {
        guard let variance else { return Estimate(mean) }
        return Estimate(
            mean,
            interval: Interval(
                around: mean, standardError: (variance / Double(count)).squareRoot(),
                degreesOfFreedom: count - 1, level: level))
    }
}
