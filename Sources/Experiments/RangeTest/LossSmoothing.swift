import Glibc

/// An exponential moving average of losses with Adam's correction of its bias toward zero.
///
/// Each loss updates s = beta s + (1 - beta) loss, and s / (1 - beta^n) is the weighted mean of n
/// losses.
package struct LossSmoothing: Sendable {
    package let beta: Double
    private var sum = 0.0
    private var count = 0

    /// Creates an average of no losses, with the weight 1 - beta for a new one.
    package init(beta: Double) { self.beta = beta }

    /// Creates the smoothing for a ramp, which averages over a twentieth of its steps.
    ///
    /// That is enough to tell a fall from the noise of single batches. More smoothing would shift
    /// the curve toward larger rates.
    package init(steps: Int) { self.init(beta: max(0, 1 - Self.parts / Double(steps))) }

    private static let parts = 20.0

    /// Adds a loss and returns the average.
    package mutating func add(_ loss: Double) -> Double {
        count += 1
        sum = beta * sum + (1 - beta) * loss
        return sum / (1 - pow(beta, Double(count)))
    }

    /// Returns the variance of the average of `count` independent losses relative to that of one
    /// loss: the sum of the squared weights divided by the square of their sum.
    package func varianceRatio(of count: Int) -> Double {
        let power = pow(beta, Double(count))
        return (1 - beta) / (1 + beta) * (1 + power) / (1 - power)
    }
}
