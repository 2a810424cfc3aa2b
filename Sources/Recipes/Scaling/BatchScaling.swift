/// What the scaling rule made of an optimizer's configuration and a global batch.
package struct BatchScaling: Sendable, Equatable {
    package let rule: ScalingConfiguration.Rule
    /// The power of the batch ratio that `factor` is; nil with rules that are no power of it.
    package let exponent: Double?
    /// The peak rate over the base rate; it multiplies every rate of the schedule.
    package let factor: Double
    package let baseBatch: Int
    package let globalBatch: Int
    /// The recipe's rate, at `baseBatch`.
    package let baseLearningRate: Double
    /// The schedule's highest rate, at `globalBatch`.
    package let peakLearningRate: Double
    /// Whether warmup starts from the base rate.
    package let gradualWarmup: Bool
    /// What is kept of the warmup when the batch changes.
    package let warmup: ScalingConfiguration.Warmup
    /// The configuration that the optimizer takes at `globalBatch`: the recipe's, with the peak
    /// rate and the betas, epsilon and weight decay of the rule.
    package let optimizer: OptimizerConfiguration

    /// The part of the peak that gradual warmup starts from: base rate over peak rate.
    ///
    /// At most 1: where scaling lowers the rate, there is nothing to warm up to.
    package var gradualStartFactor: Double { min(1, 1 / factor) }

    /// The steps of warmup at `globalBatch` that a recipe's number of them stands for.
    func warmupSteps(_ written: Int) -> Int {
        guard warmup == .tokens, written > 0, globalBatch != baseBatch else { return written }
        let ratio = Double(globalBatch) / Double(baseBatch)
        // Clamped to what can be counted; the schedule refuses it by comparison with its other
        // steps.
        return max(1, Int(min(0x1p60, (Double(written) / ratio).rounded())))
    }
}
