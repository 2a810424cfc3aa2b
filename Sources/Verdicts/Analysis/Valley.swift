import Glibc

/// The loss above its least as a function of z = ln(rate / best rate), with the least at z = 0.
///
/// Losses rise slowly below the best rate and steeply above it, so a parabola would move the best
/// rate toward the slow side. Both forms are convex, and both are parabolas if `asymmetry` is 0.
struct Valley: Sendable, Equatable {
    enum Form {
        /// The function 2 c / k^2 (exp(k z) - k z - 1), whose curvature changes smoothly.
        case linex
        /// The function c exp(s) z^2 above the best rate and c exp(-s) z^2 below it.
        case twoSided
    }

    let form: Form
    /// The curvature c: half the second derivative at the best rate, or the geometric mean of its
    /// values on the two sides.
    let curvature: Double
    /// The asymmetry: s of `twoSided`, or a real number that is mapped to k of `linex`.
    let asymmetry: Double

    /// The greatest magnitude of k. At 4, the curvature changes by a factor of 16 between rates
    /// that differ by a factor of 2.
    private static let greatestGrowth = 4.0

    /// The parameter k of `linex`: the second derivative is proportional to exp(k z).
    var growth: Double { Self.greatestGrowth * tanh(asymmetry / Self.greatestGrowth) }

    /// Returns the loss above the least one.
    func loss(at z: Double) -> Double {
        switch form {
        case .linex:
            let x = growth * z
            // exp(x) - x - 1 loses its digits near 0.
            let part = abs(x) < 1e-3 ? 1 + x / 3 + x * x / 12 : 2 * (exp(x) - x - 1) / (x * x)
            return curvature * z * z * part
        case .twoSided: return curvature * side(of: z) * z * z
        }
    }

    /// Returns the derivative of `loss(at:)`.
    func slope(at z: Double) -> Double {
        switch form {
        case .linex:
            let x = growth * z
            return 2 * curvature * z * (x == 0 ? 1 : expm1(x) / x)
        case .twoSided: return 2 * curvature * side(of: z) * z
        }
    }

    /// Returns the derivative of `loss(at:)` by the asymmetry.
    func asymmetryDerivative(at z: Double) -> Double {
        switch form {
        case .linex:
            let x = growth * z
            // The derivative of 2 (exp(x) - x - 1) / x^2, which loses its digits near 0.
            let part =
                abs(x) < 1e-2
                ? 1.0 / 3 + x / 6 + x * x / 20 + x * x * x / 90
                : 2 * (x * expm1(x) - 2 * (exp(x) - x - 1)) / (x * x * x)
            let ratio = growth / Self.greatestGrowth
            return curvature * z * z * z * part * (1 - ratio * ratio)
        case .twoSided: return (z < 0 ? -1 : 1) * loss(at: z)
        }
    }

    private func side(of z: Double) -> Double { exp(z < 0 ? -asymmetry : asymmetry) }
}
