import Compute
import Model
import Optimizers
import Recipes

/// What a run carries from step to step; of all ranks together, all that a checkpoint holds.
package final class TrainingState {
    package let parameters: Parameters
    /// With the state of the parameters that this rank updates.
    package var optimizer: Optimizer
    /// Steps taken, skipped ones included.
    package var step = 0
    var nonFinite: NonFiniteGuard
    /// Nil where the recipe asks for none.
    let average: ParameterAverage?

    /// What evaluations look at.
    var evaluated: Parameters { average?.parameters ?? parameters }

    /// `parameters` is zeroed memory for the layout's arena; `owned` are the parts of it that this
    /// rank updates.
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
