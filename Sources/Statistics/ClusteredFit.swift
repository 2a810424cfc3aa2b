import Glibc

/// An estimated variance with its degrees of freedom, which need not be a whole number.
package struct SpreadEstimate: Sendable, Equatable {
    package let variance: Double
    package let degreesOfFreedom: Double

    package init(variance: Double, degreesOfFreedom: Double) {
        self.variance = variance
        self.degreesOfFreedom = degreesOfFreedom
    }

    /// Returns the sum of two independent estimates, with the degrees of freedom of Satterthwaite
    /// 1946.
    package func adding(_ other: SpreadEstimate) -> SpreadEstimate {
        let total = variance + other.variance
        let parts = [self, other].reduce(0) {
            $0 + $1.variance * $1.variance / $1.degreesOfFreedom
        }
        return SpreadEstimate(
            variance: total,
            degreesOfFreedom: parts > 0 ? total * total / parts : degreesOfFreedom)
    }

    /// Returns Student's interval around a value.
    package func interval(around value: Double, level: Double) -> Interval {
        let half =
            variance.squareRoot()
            * StudentT.twoSided(level: level, realDegreesOfFreedom: max(1, degreesOfFreedom))
        return Interval(lower: value - half, upper: value + half, level: level)
    }
}

/// A weighted least-squares fit to observations that come in clusters, whose members err together.
///
/// The errors of the parameters come from the fits without one cluster each, the jackknife. With
/// few clusters it is safer than residuals, which each cluster's own pull makes too small. The
/// degrees of freedom follow from the second moment of such a variance (Bell & McCaffrey 2002) if
/// half of an observation's variance belongs to its cluster.
package struct ClusteredFit: Sendable, Equatable {
    package let parameters: [Double]
    /// The variance of each parameter.
    package let spreads: [SpreadEstimate]
    /// The derivative of each parameter by each observation.
    package let derivatives: [[Double]]

    /// The share of an observation's variance that is assumed for the degrees of freedom to belong
    /// to its cluster.
    private static let sharedPart = 0.5

    /// Fits linear parameters.
    ///
    /// Returns nil if the columns are linearly dependent, with all clusters or without one of them.
    ///
    /// - Parameters:
    ///   - rows: observations x parameters.
    ///   - weights: a weight per observation, inverse to its variance.
    ///   - clusters: the number of the cluster of each observation, from 0.
    package init?(
        _ rows: [[Double]], observations: [Double], weights: [Double], clusters: [Int]
    ) {
        precondition(clusters.count == rows.count, "a cluster for each row")
        let count = (clusters.max() ?? -1) + 1
        guard count >= 2,
            let whole = Self.derivatives(rows, weights, keeping: { _ in true })
        else { return nil }
        var changes: [[[Double]]] = []
        for cluster in 0..<count {
            guard
                let part = Self.derivatives(
                    rows, weights, keeping: { clusters[$0] != cluster })
            else { return nil }
            changes.append(
                zip(part, whole).map { part, whole in zip(part, whole).map { $0 - $1 } })
        }
        derivatives = whole
        parameters = whole.map { Self.product($0, observations) }
        let deviations = weights.map { 1 / $0.squareRoot() }
        spreads = whole.indices.map { place in
            Self.spread(
                changes.map { $0[place] }, observations, deviations: deviations,
                clusters: clusters)
        }
    }

    private static func product(_ one: [Double], _ other: [Double]) -> Double {
        zip(one, other).reduce(0) { $0 + $1.0 * $1.1 }
    }

    /// Returns the derivative of each parameter by each observation, which is 0 for those that are
    /// not kept.
    private static func derivatives(
        _ rows: [[Double]], _ weights: [Double], keeping isKept: (Int) -> Bool
    ) -> [[Double]]? {
        let kept = rows.indices.filter(isKept)
        guard kept.count >= rows.first?.count ?? 0,
            let fit = linearLeastSquares(
                kept.map { rows[$0] }, observations: kept.map { _ in 0 },
                weights: kept.map { weights[$0] })
        else { return nil }
        return fit.unscaledCovariance.map { covariance in
            var result = rows.map { _ in 0.0 }
            for place in kept { result[place] = product(covariance, rows[place]) * weights[place] }
            return result
        }
    }

    /// Returns the jackknife's variance of a parameter.
    ///
    /// - Parameter changes: clusters x observations, the derivative of the parameter's change
    ///   without a cluster by each observation.
    private static func spread(
        _ changes: [[Double]], _ observations: [Double], deviations: [Double], clusters: [Int]
    ) -> SpreadEstimate {
        let count = changes.count
        let squares = changes.reduce(0) { sum, change in
            let value = product(change, observations)
            return sum + value * value
        }
        // The covariance of the changes under the assumed variances.
        let scaled = changes.map { zip($0, deviations).map { $0 * $1 } }
        let sums = scaled.map { change in
            var sums = [Double](repeating: 0, count: count)
            for (place, cluster) in clusters.enumerated() { sums[cluster] += change[place] }
            return sums
        }
        var (trace, squared) = (0.0, 0.0)
        for one in 0..<count {
            for other in 0..<count {
                let covariance =
                    (1 - sharedPart) * product(scaled[one], scaled[other])
                    + sharedPart * product(sums[one], sums[other])
                squared += covariance * covariance
                if one == other { trace += covariance }
            }
        }
        return SpreadEstimate(
            variance: squares * Double(count - 1) / Double(count),
            degreesOfFreedom: squared > 0 ? max(1, trace * trace / squared) : 1)
    }
}
