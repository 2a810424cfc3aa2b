/// The parameters that minimize a weighted sum of squared residuals, and their covariance.
package struct LeastSquaresFit: Sendable, Equatable {
    package let parameters: [Double]
    /// The covariance for residuals of variance 1: (J^T W J)^-1, with the residuals' Jacobian J.
    let unscaledCovariance: [[Double]]
    /// The weighted sum of squared residuals.
    package let residualSumOfSquares: Double
    /// The number of observations minus the number of parameters.
    package let degreesOfFreedom: Int

    /// The residuals' variance (for a residual of weight 1), or nil without degrees of freedom.
    package var noise: Noise? {
        degreesOfFreedom >= 1
            ? Noise(
                variance: residualSumOfSquares / Double(degreesOfFreedom),
                degreesOfFreedom: degreesOfFreedom) : nil
    }

    /// Returns the parameters' covariance under `noise`, the residuals' or another estimate.
    package func covariance(_ noise: Noise) -> [[Double]] {
        unscaledCovariance.map { row in row.map { $0 * noise.variance } }
    }

    /// Returns a parameter with its interval.
    ///
    /// - Parameter noise: another estimate of the noise; nil for the residuals'.
    package func estimate(_ parameter: Int, noise: Noise? = nil, level: Double) -> Estimate {
        estimate(ofSum: [parameter], noise: noise, level: level)
    }

    /// Returns a sum of different parameters with its interval.
    ///
    /// - Parameter noise: another estimate of the noise; nil for the residuals'.
    package func estimate(ofSum places: [Int], noise: Noise? = nil, level: Double) -> Estimate {
        let value = places.reduce(0) { $0 + parameters[$1] }
        guard let noise = noise ?? self.noise else { return Estimate(value) }
        let variance = places.reduce(0) { sum, row in
            places.reduce(sum) { $0 + unscaledCovariance[row][$1] * noise.variance }
        }
        return Estimate(
            value,
            interval: Interval(
                around: value, standardError: max(0, variance).squareRoot(),
                degreesOfFreedom: noise.degreesOfFreedom, level: level))
    }
}

/// The estimated variance of observations around their true values, with its degrees of freedom.
package struct Noise: Sendable, Equatable {
    package let variance: Double
    package let degreesOfFreedom: Int

    /// Creates an estimate from at least one degree of freedom.
    package init(variance: Double, degreesOfFreedom: Int) {
        precondition(variance >= 0 && degreesOfFreedom >= 1, "a variance that was estimated")
        self.variance = variance
        self.degreesOfFreedom = degreesOfFreedom
    }
}
