import Glibc

/// Akaike's information criterion for least squares, corrected for small samples.
package enum InformationCriterion {
    /// Returns n ln(RSS / n) + 2 k + 2 k (k + 1) / (n - k - 1) (Hurvich & Tsai 1989; Burnham &
    /// Anderson 2002, section 2.4).
    ///
    /// - Parameters:
    ///   - count: n, the number of observations.
    ///   - parameterCount: k, the number of parameters, including the residuals' variance.
    ///   - leastVariance: the variance below which residuals are rounding errors and cannot
    ///     distinguish models.
    /// - Returns: nil if n - k - 1 is not positive, which means too few observations.
    package static func corrected(
        residualSumOfSquares: Double, count: Int, parameterCount: Int, leastVariance: Double = 0
    ) -> Double? {
        let (n, k) = (Double(count), Double(parameterCount))
        guard n - k - 1 > 0 else { return nil }
        let variance = max(residualSumOfSquares / n, leastVariance)
        return n * log(variance) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    }

    /// Returns each model's share of exp(-delta / 2), where delta is the difference of its
    /// criterion from the least (Burnham & Anderson 2002, section 2.9).
    package static func akaikeWeights(_ criteria: [Double]) -> [Double] {
        guard let least = criteria.min() else { return [] }
        let likelihoods = criteria.map { exp((least - $0) / 2) }
        let total = likelihoods.reduce(0, +)
        return likelihoods.map { $0 / total }
    }
}
