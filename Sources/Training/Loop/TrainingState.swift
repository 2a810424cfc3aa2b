import Collectives
import Compute
import Model
import Optimizers
import Recipes
import Support

/// The state that a run carries from step to step; all ranks' states together make up a checkpoint.
package final class TrainingState {
    package let parameters: Parameters
    /// The memory of the parameters.
    let parameterMemory: HostParameters
    /// The checks of the parameters that this rank updates; nil unless ranks share them.
    let checks: ParameterChecks?
    /// The optimizer, with the moments of the parameters that this rank updates.
    package var optimizer: Optimizer
    /// The number of steps taken, skipped ones included.
    package var step = 0
    var nonFinite: NonFiniteGuard
    /// The average of the parameters; nil if the recipe does not request one.
    let average: ParameterAverage?

    /// The parameters that evaluations use.
    var evaluated: Parameters { average?.parameters ?? parameters }

    /// Creates the state before the first step.
    ///
    /// - Parameters:
    ///   - memory: the memory of the parameters, which are zero.
    ///   - owned: the ranges of the arena that this rank updates.
    init(plan: TrainingPlan, layout: GPTLayout, memory: HostParameters, owned: [Range<Int>]) {
        parameterMemory = memory
        parameters = Parameters(
            memory.values, precision: plan.recipe.training.precision, rounded: memory.rounded)
        checks = memory.isShared ? ParameterChecks(of: memory.values, owned: owned) : nil
        optimizer = Optimizer(
            configuration: plan.rate.optimizer, layout: layout.arena, owned: owned,
            factors: layout.factors, matrices: layout.matrices)
        nonFinite = NonFiniteGuard(limit: plan.recipe.training.maximumSkippedSteps)
        average = plan.recipe.training.averagingPower.map {
            ParameterAverage(
                power: $0, count: layout.arena.count, precision: plan.recipe.training.precision)
        }
    }

    /// Sends rank 0's parameters to all ranks. Collective: every rank must call this.
    func sendParameters() throws(Failure) {
        try parameterMemory.send { parameters.round($0) }
        checks?.restart()
    }

    /// The bytes of parameters that another rank of the host counts as its own.
    var sharedParameterBytes: Int { parameterMemory.isFirst ? 0 : parameters.bytes }
}

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
            moveToward(new.values.vector(range), average.vector(range), weight: weight)
            parameters.round(range)
        }
    }
}
