/// Two unbiased estimates from the gradients of one step's lanes, whose averages over steps give
/// the simple noise scale (McCandlish et al. 2018, appendix A.1).
///
/// Let `N` lanes of `b` sequences have the mean gradients `g_i`, and let `g` be their mean. Then
/// `variance` = b / (N - 1) * sum |g_i - g|^2, and `signal` = sum over i != j of
/// g_i.g_j / (N (N - 1)). Both follow from the squared norms of the lanes and of their sum, so no
/// gradient is kept.
package struct GradientNoise: Sendable, Equatable {
    /// The trace of the covariance of one sequence's gradient: S.
    package let variance: Double
    /// The squared norm of the gradient over all data: |G|^2. Noise can make it negative.
    package let signal: Double

    /// Estimates both values from one step; nil with fewer than two lanes, which have no variance.
    ///
    /// - Parameters:
    ///   - partSquares: the sum over the lanes of the squared norm of each lane's part of the
    ///     gradient, which is the lane's mean gradient divided by `lanes`.
    ///   - sumSquares: the squared norm of the gradient, which is the sum of the parts.
    ///   - lanes: N.
    ///   - sequencesPerLane: b.
    package init?(partSquares: Double, sumSquares: Double, lanes: Int, sequencesPerLane: Int) {
        guard lanes >= 2 else { return nil }
        let count = Double(lanes)
        let pairs = count * (count - 1)
        let squaresOfMeans = partSquares * count * count
        // Rounding could make a variance of zero negative.
        let deviations = max(0, squaresOfMeans - count * sumSquares)
        variance = Double(sequencesPerLane) / (count - 1) * deviations
        signal = (count * count * sumSquares - squaresOfMeans) / pairs
    }
}
