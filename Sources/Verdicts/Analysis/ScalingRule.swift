/// A rule that scales the learning rate with the batch.
package struct ScalingRule: Sendable {
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

    /// The rule that keeps the base batch's rate.
    package static let none = ScalingRule("none") { _ in 1 }
    /// The square root rule (Krizhevsky 2014; Hoffer, Hubara & Soudry 2017).
    package static let squareRoot = ScalingRule("sqrt") { $0.squareRoot() }
    /// The linear rule (Goyal et al. 2017).
    package static let linear = ScalingRule("linear") { $0 }
}
