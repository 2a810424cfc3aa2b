import Compute
import Model
import Optimizers

/// A running average of a run's parameters, which evaluations use instead of the parameters.
///
/// Under a constant learning rate the parameters jitter around their path. Their average lies near
/// the parameters that a decayed rate would have reached, at every step and not only at a
/// schedule's end. The weight of step t's parameters is t^(power + 1) - (t - 1)^(power + 1), about
/// (power + 1) t^power, so the average always covers the same fraction of the run (Karras et al.
/// 2024, section 3.1): a = b a + (1 - b) p, with b = (1 - 1/t)^(power + 1).
package final class ParameterAverage {
    let parameters: Parameters
    private let power: Double

    /// Creates an average of zeros; `count` is the number of elements in the arena.
    init(power: Double, count: Int, precision: Precision) {
        self.power = power
        parameters = Parameters(Buffer<Float>(count: count), precision: precision)
    }

    /// Adds the parameters after a step to the average, on all threads.
    ///
    /// - Parameter step: t, starting at 1; after step 1 the average equals the parameters.
    func add(_ new: Parameters, step: Int, engine: ComputeEngine) {
        let weight = Float(averagingWeight(step: step, power: power))
        let average = parameters.values
        let count = average.count
        engine.team.forEach(SumOfSquares.blockCount(count)) { block, _ in
            let range = SumOfSquares.range(ofBlock: block, count: count)
            moveToward(
                new.values.base + range.lowerBound, average.base + range.lowerBound,
                count: range.count, weight: weight)
            parameters.round(range)
        }
    }
}
