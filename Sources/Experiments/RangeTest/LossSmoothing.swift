import Glibc

/// An exponential moving average of losses with Adam's correction of its bias towards zero:
/// s = beta s + (1 - beta) loss, of which s / (1 - beta^n) is the mean of n losses.
package struct LossSmoothing: Sendable {
    package let beta: Double
    private var sum = 0.0
    private var count = 0

    package init(beta: Double) { self.beta = beta }

    /// The smoothing for a ramp: 0.98 on 100 steps, as fastai has it, and on others what reaches
    /// over the same part of the ramp.
    ///
    /// Then what is suggested does not depend on the number of steps, and more of them mean less
    /// noise. The average reaches over 1 / (1 - beta) steps, half of the ramp: losses of single
    /// batches are that noisy, and the average is late by it, towards larger rates, which a tenth
    /// of the minimum makes up for.
    package init(steps: Int) {
        self.init(beta: pow(Self.fastaiBeta, Self.fastaiSteps / Double(steps)))
    }

    private static let (fastaiBeta, fastaiSteps) = (0.98, 100.0)

    /// Takes in a loss, and returns the average.
    package mutating func add(_ loss: Double) -> Double {
        count += 1
        sum = beta * sum + (1 - beta) * loss
        return sum / (1 - pow(beta, Double(count)))
    }

    /// The variance of the average of `count` losses over that of one, where they are independent:
    /// the weights' sum of squares over the square of their sum.
    package func varianceRatio(of count: Int) -> Double {
        let power = pow(beta, Double(count))
        return (1 - beta) / (1 + beta) * (1 + power) / (1 - power)
    }
}
