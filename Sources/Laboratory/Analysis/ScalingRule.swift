/// A rule that scales the learning rate with the batch.
package struct ScalingRule: Sendable {
    package let name: String
    /// Takes the batch over the base batch; gives the rate over the base batch's rate, a
    /// positive number.
    package let factor: @Sendable (Double) -> Double

    package init(_ name: String, factor: @escaping @Sendable (Double) -> Double) {
        self.name = name
        self.factor = factor
    }

    /// One rate for every batch.
    package static let none = ScalingRule("none") { _ in 1 }
    /// Krizhevsky 2014; Hoffer, Hubara & Soudry 2017.
    package static let squareRoot = ScalingRule("sqrt") { $0.squareRoot() }
    /// Goyal et al. 2017.
    package static let linear = ScalingRule("linear") { $0 }
}
