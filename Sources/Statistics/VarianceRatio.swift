import Glibc

/// Fisher's F distribution, of the ratio of two variance estimates.
package enum VarianceRatio {
    /// Returns the approximate probability that the ratio is greater than `ratio` if both estimates
    /// are of the same variance.
    ///
    /// The cube root of the ratio is nearly normal (Paulson 1942, "An approximate normalization of the
    /// analysis of variance distribution"). The error is below 0.005 with three or more degrees of
    /// freedom in the denominator.
    ///
    /// - Parameters:
    ///   - numerator: the degrees of freedom of the first estimate, at least 1.
    ///   - denominator: the degrees of freedom of the second estimate, at least 1.
    package static func upperTail(_ ratio: Double, numerator: Int, denominator: Int) -> Double {
        precondition(numerator >= 1 && denominator >= 1, "an estimate has degrees of freedom")
        guard ratio > 0 else { return 1 }
        guard ratio.isFinite else { return ratio.isNaN ? ratio : 0 }
        let (a, b) = (2 / (9 * Double(numerator)), 2 / (9 * Double(denominator)))
        let root = cbrt(ratio)
        let z = ((1 - b) * root - (1 - a)) / (b * root * root + a).squareRoot()
        return erfc(z / 2.0.squareRoot()) / 2
    }
}
