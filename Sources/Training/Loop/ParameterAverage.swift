import Compute
import Model
import Optimizers

/// A running average of a run's parameters, which evaluations look at in their stead.
///
/// Under a constant learning rate the parameters jitter around where they go; their average lies
/// near what a decayed rate would have reached, at every step and not only at a schedule's end.
/// The weight of step t's parameters is t^(power + 1) - (t - 1)^(power + 1), about (power + 1) t^power,
/// so that the average always covers the same part of the run (Karras et al. 2024, section 3.1):
/// a = b a + (1 - b) p, with b = (1 - 1/t)^(power + 1).
package final class ParameterAverage {
    let parameters: Parameters
    private let power: Double

    /// `count` is the arena's.
    init(power: Double, count: Int, precision: Precision) {
        self.power = power
        parameters = Parameters(Buffer<Float>(count: count), precision: precision)
    }

    /// Takes in the parameters after a step, on all threads.
    ///
    /// - Parameter step: t, from 1 up; with the first the average is the parameters.
    func add(_ new: Parameters, step: Int, engine: ComputeEngine) {
        let weight = Float(averagingWeight(step: step, power: power))
        let average = parameters.values
        let count = average.count
        engine.team.forEach(SumOfSquares.blockCount(count)) { block, _ in
            let range = SumOfSquares.range(ofBlock: block, count: count)
            moveTowards(
                new.values.base + range.lowerBound, average.base + range.lowerBound,
                count: range.count, weight: weight)
            parameters.round(range)
        }
    }
}
