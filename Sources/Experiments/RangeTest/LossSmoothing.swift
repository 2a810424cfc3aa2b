import Glibc

/// An exponential moving average of losses with Adam's correction of its bias toward zero.
///
/// Each loss updates s = beta s + (1 - beta) loss, and s / (1 - beta^n) is the weighted mean of n
/// losses.
package struct LossSmoothing: Sendable {
    package let beta: Double
    private var sum = 0.0
    private var count = 0

    package init(beta: Double) { self.beta = beta }

    /// Creates the smoothing for a ramp. Beta is 0.98 for 100 steps, as in fastai; for other
    /// numbers of steps, the average covers the same fraction of the ramp.
    ///
    /// The suggestions then do not depend on the number of steps, and more steps mean less noise.
    /// The average covers 1 / (1 - beta) steps, half of the ramp, because the losses of single
    /// batches are very noisy. The smoothed curve is therefore shifted by as much toward larger
    /// rates, and dividing the rate of the minimum by ten compensates for the shift.
    package init(steps: Int) {
        self.init(beta: pow(Self.fastaiBeta, Self.fastaiSteps / Double(steps)))
    }

    private static let (fastaiBeta, fastaiSteps) = (0.98, 100.0)

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
