import Model
import Optimizers
import Tensors

/// What a run carries from step to step, and all that a checkpoint holds.
package final class TrainingState {
    package let parameters: Buffer<Float>
    package var optimizer: Optimizer
    /// Steps taken, skipped ones included.
    package var step = 0
    var nonFinite: NonFiniteGuard

    init(plan: TrainingPlan, layout: GPTLayout) {
        parameters = Buffer(count: layout.arena.count)
        optimizer = Optimizer(configuration: plan.recipe.optimizer, layout: layout.arena)
        nonFinite = NonFiniteGuard(limit: plan.recipe.training.maximumSkippedSteps)
    }
}
