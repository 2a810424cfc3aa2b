import Optimizers
import Tensors

/// What a run carries from step to step, and all that a checkpoint holds.
package final class TrainingState {
    package let parameters: Buffer<Float>
    package var optimizer: Optimizer
    /// Steps taken, skipped ones included.
    package var step = 0
    var nonFinite: NonFiniteGuard

    init(plan: TrainingPlan, layout: ArenaLayout) {
        parameters = Buffer(count: layout.count)
        optimizer = Optimizer(configuration: plan.recipe.optimizer, layout: layout)
        nonFinite = NonFiniteGuard(limit: plan.recipe.training.maximumSkippedSteps)
    }
}
