/// A rule that scales the learning rate with the batch.
package struct ScalingRule: Sendable {
    package let name: String
    /// What the rule makes of the base batch's rate at so many times that batch; what is no
    /// positive number is no rate.
    package let rate: @Sendable (_ base: Double, _ ratio: Double) -> Double

    package init(
        _ name: String, rate: @escaping @Sendable (_ base: Double, _ ratio: Double) -> Double
    ) {
        self.name = name
        self.rate = rate
    }

    /// A rule that multiplies the rate.
    package init(_ name: String, factor: @escaping @Sendable (_ ratio: Double) -> Double) {
        self.init(name) { $0 * factor($1) }
    }

    /// One rate for every batch.
    package static let none = ScalingRule("none") { _ in 1 }
    /// Krizhevsky 2014; Hoffer, Hubara & Soudry 2017.
    package static let squareRoot = ScalingRule("sqrt") { $0.squareRoot() }
    /// Goyal et al. 2017.
    package static let linear = ScalingRule("linear") { $0 }
}
