/// The rate and the optimizer's configuration at a global batch, after scaling.
public struct BatchScaling: Sendable, Equatable {
    public let rule: ScalingConfiguration.Rule
    /// The exponent such that `factor` is the batch ratio to that power; nil if `factor` is not a
    /// power of the ratio.
    public let exponent: Double?
    /// The ratio of the peak rate to the base rate, by which every rate of the schedule is
    /// multiplied.
    public let factor: Double
    public let baseBatch: Int
    public let globalBatch: Int
    /// The recipe's rate, at `baseBatch`.
    public let baseLearningRate: Double
    /// The schedule's highest rate, at `globalBatch`.
    public let peakLearningRate: Double
    /// Whether warmup starts from the base rate.
    package let gradualWarmup: Bool
    /// The measure of the warmup that is kept when the batch changes.
    package let warmup: ScalingConfiguration.Warmup
    /// The configuration of the optimizer at `globalBatch`: the recipe's, with the peak rate and
    /// the betas, epsilon and weight decay of the rule.
    public let optimizer: OptimizerConfiguration

    /// The fraction of the peak from which gradual warmup starts: the ratio of the base rate to the
    /// peak rate, at most 1.
    package var gradualStartFactor: Double { min(1, 1 / factor) }

    /// Returns the number of warmup steps at `globalBatch`, given the number in the recipe.
    func warmupSteps(_ written: Int) -> Int {
        guard warmup == .tokens, written > 0, globalBatch != baseBatch else { return written }
        let ratio = Double(globalBatch) / Double(baseBatch)
        // The clamp avoids an overflow; the schedule refuses such a number.
        return max(1, Int(min(0x1p60, (Double(written) / ratio).rounded())))
    }
}
