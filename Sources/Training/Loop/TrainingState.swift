import Compute
import Model
import Optimizers
import Recipes

/// The state that a run carries from step to step; all ranks' states together make up a checkpoint.
package final class TrainingState {
    package let parameters: Parameters
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
    ///   - parameters: zeroed memory for the layout's arena.
    ///   - owned: the ranges of the arena that this rank updates.
    init(
        plan: TrainingPlan, layout: ArenaLayout, parameters: Buffer<Float>, owned: [Range<Int>]
    ) {
        self.parameters = Parameters(
            parameters, precision: plan.recipe.training.precision)
        optimizer = Optimizer(
            configuration: plan.rate.optimizer, layout: layout, owned: owned)
        nonFinite = NonFiniteGuard(limit: plan.recipe.training.maximumSkippedSteps)
        average = plan.recipe.training.averagingPower.map {
            ParameterAverage(
                power: $0, count: layout.count, precision: plan.recipe.training.precision)
        }
    }
}
