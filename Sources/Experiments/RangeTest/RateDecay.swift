import Recipes

/// The learning rate after a run's warmup, as a fraction of the peak rate.
///
/// A short run with the same fractions as a long run shows which peak rate suits the schedule.
package struct RateDecay: Sendable, Equatable {
    private let schedule: Schedule
    private let peakRate: Double
    /// The first step after the warmup.
    private let start: Int
    /// The number of steps after the warmup.
    private let steps: Int

    /// A rate that stays at its peak.
    package static let none = RateDecay(
        schedule: .constant(1), peakRate: 1, start: 0, steps: 1)

    private init(schedule: Schedule, peakRate: Double, start: Int, steps: Int) {
        (self.schedule, self.peakRate) = (schedule, peakRate)
        (self.start, self.steps) = (start, steps)
    }

    /// Creates the decay of a plan's run.
    package init(_ plan: TrainingPlan) {
        let steps = plan.recipe.training.steps
        let warmup = plan.recipe.schedule.warmupSteps(trainingSteps: steps, at: plan.rate)
        let start = min(warmup, steps - 1)
        self.init(
            schedule: plan.schedule, peakRate: plan.rate.peakLearningRate, start: start,
            steps: steps - start)
    }

    /// Returns the fraction of the peak rate at a step of a short run.
    ///
    /// - Parameters:
    ///   - step: the step, counted from the end of the warmup.
    ///   - count: the number of the short run's steps after the warmup.
    func factor(at step: Int, of count: Int) -> Double {
        schedule.learningRate(at: start + step * steps / count) / peakRate
    }
}
