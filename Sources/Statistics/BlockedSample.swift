/// Numbers of several treatments that were measured once in each of several blocks: a randomized
/// complete block design.
///
/// An effect that the treatments of a block share, such as that of its data, moves all of them
/// alike. It cancels out of their differences, and only the residuals of value = treatment + block +
/// noise remain.
package struct BlockedSample: Sendable, Equatable {
    /// The numbers: treatments x blocks.
    private let values: [[Double]]

    /// Creates a sample.
    ///
    /// - Parameter values: treatments x blocks, at least one of each, all finite.
    package init(_ values: [[Double]]) {
        let blocks = values.first?.count ?? 0
        precondition(blocks >= 1, "a sample has at least one treatment and one block")
        precondition(values.allSatisfy { $0.count == blocks }, "every treatment is in every block")
        self.values = values
    }

    /// The means of the treatments.
    package var means: [Double] { values.map { $0.reduce(0, +) / Double($0.count) } }

    /// The degrees of freedom of `residualVariance`.
    package var degreesOfFreedom: Int { (values.count - 1) * (values[0].count - 1) }

    /// The variance of the noise, which is taken to be the same for all treatments; nil with one
    /// treatment or block.
    package var residualVariance: Double? {
        guard degreesOfFreedom > 0 else { return nil }
        let means = means
        let total = means.reduce(0, +) / Double(means.count)
        var sum = 0.0
        for block in values[0].indices {
            let blockMean = values.reduce(0) { $0 + $1[block] } / Double(values.count)
            for (treatment, mean) in zip(values, means) {
                let residual = treatment[block] - mean - blockMean + total
                sum += residual * residual
            }
        }
        return sum / Double(degreesOfFreedom)
    }

    /// Returns the mean of one treatment minus that of another, with Student's interval.
    ///
    /// With two treatments, it is the interval of a paired t-test.
    package func difference(
        of treatment: Int, from reference: Int, level: Double
    ) -> Estimate {
        let means = means
        let value = means[treatment] - means[reference]
        guard treatment != reference, let variance = residualVariance else {
            return Estimate(value)
        }
        return Estimate(
            value,
            interval: Interval(
                around: value, standardError: (2 * variance / Double(values[0].count)).squareRoot(),
                degreesOfFreedom: degreesOfFreedom, level: level))
    }
}
