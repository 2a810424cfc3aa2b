import Glibc

/// A rule that scales the learning rate with the batch, as the analysis of trained runs judges it.
package struct RateRule: Sendable {
    package let name: String
    /// Returns the rate at `ratio` times the base batch, given the base batch's rate. The rule has
    /// no rate there if the result is not a positive number.
    package let rate: @Sendable (_ base: Double, _ ratio: Double) -> Double

    package init(
        _ name: String, rate: @escaping @Sendable (_ base: Double, _ ratio: Double) -> Double
    ) {
        self.name = name
        self.rate = rate
    }

    /// Creates a rule that multiplies the rate by a factor.
    package init(_ name: String, factor: @escaping @Sendable (_ ratio: Double) -> Double) {
        self.init(name) { $0 * factor($1) }
    }

    /// Creates one of the common rules.
    package init(_ rule: CommonRule) {
        self.init(rule.rawValue, factor: rule.factor)
    }

    /// The name, before a colon and the exponent, of a rule that multiplies the rate by a power.
    package static let powerName = "power"
    /// The exponents of the batch ratio that a rule may have.
    package static let exponents = -4.0...4.0

    /// Returns the rule that multiplies the rate by a power of the batch ratio.
    package static func power(_ exponent: Double) -> RateRule {
        RateRule("\(powerName):\(exponent)") { ratio in pow(ratio, exponent) }
    }

    package static let none = RateRule(.unchanged)
    package static let squareRoot = RateRule(.squareRoot)
    package static let linear = RateRule(.linear)
}
