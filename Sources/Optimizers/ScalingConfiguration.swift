import Failures

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// A recipe's `[scaling]`: how the learning rate follows the global batch.
///
/// The peak rate is `learning_rate * (global_batch / base_batch)^exponent`. Ranks, threads and
/// nodes have no part in it.
package struct ScalingConfiguration: Sendable, Equatable {
    /// The rules, by their names in recipes.
    package enum Rule: String, NamedChoice {
        /// Exponent 1 (Goyal et al. 2017, "Accurate, Large Minibatch SGD").
        case linear
        /// Exponent 1/2 (Krizhevsky 2014, "One weird trick for parallelizing CNNs").
        case sqrt
        /// Exponent 0: one rate for every batch.
        case none
        /// The exponent that the recipe gives.
        case power
    }

    /// `rule`.
    package var rule: Rule
    /// `exponent`: the rule `power`'s, any number; nil with the other rules.
    package var exponent: Double?
    /// `base_batch`: the global batch, in sequences, that `learning_rate` was chosen for.
    ///
    /// Whoever reads a recipe that is silent puts its `global_batch` here before any override, so
    /// that overriding the batch scales the rate; nil means the batch that is trained with.
    package var baseBatch: Int?
    /// `gradual_warmup`: whether warmup starts from the base rate instead of
    /// `schedule.warmup_start_factor` (Goyal et al. 2017, section 2.2).
    package var gradualWarmup: Bool

    package init(
        rule: Rule = .linear, exponent: Double? = nil, baseBatch: Int? = nil,
        gradualWarmup: Bool = false
    ) {
        self.rule = rule
        self.exponent = exponent
        self.baseBatch = baseBatch
        self.gradualWarmup = gradualWarmup
    }

    /// Checks every value.
    ///
    /// - Throws: a `.configuration` failure that names the first impossible value.
    package func validate() throws(Failure) {
        if let baseBatch, baseBatch < 1 {
            throw invalid(
                "[scaling] base_batch", baseBatch, "a number of sequences from 1 up",
                "set the global batch that learning_rate was chosen for")
        }
        if let exponent {
            guard rule == .power else {
                throw conflict(
                    "[scaling] exponent", exponent, "does nothing with rule = \"\(rule.rawValue)\"",
                    "remove it, or set rule = \"power\"")
            }
            guard exponent.isFinite else {
                throw invalid(
                    "[scaling] exponent", exponent, "a number", "use 0.5 or another from 0 to 1")
            }
        } else if rule == .power {
            throw Failure(
                .configuration,
                "[scaling] exponent is missing, which rule = \"power\" needs: add exponent = 0.5 "
                    + "or another number from 0 to 1")
        }
    }

    /// The rates for a global batch of `globalBatch` sequences.
    ///
    /// - Parameter learningRate: `[optimizer] learning_rate`, the rate at the base batch.
    /// - Throws: what `validate` does, and a `.configuration` failure where the scaled rate is zero
    ///   or infinite, or the batch is not positive.
    package func resolve(learningRate: Double, globalBatch: Int) throws(Failure) -> ScaledRate {
        try validate()
        guard globalBatch >= 1 else {
            throw invalid(
                "[training] global_batch", globalBatch, "a number of sequences from 1 up",
                "set the sequences in one optimizer step, over all ranks")
        }
        let baseBatch = baseBatch ?? globalBatch
        let ratio = Double(globalBatch) / Double(baseBatch)
        let power: Double
        let factor: Double
        switch rule {
        case .linear: (power, factor) = (1, ratio)
        case .sqrt: (power, factor) = (0.5, ratio.squareRoot())
        case .none: (power, factor) = (0, 1)
        case .power:
            power = exponent ?? 0
            factor = pow(ratio, power)
        }
        let peak = learningRate * factor
        guard factor.isFinite, peak.isFinite, peak > 0 else {
            throw conflict(
                "[scaling] exponent", power,
                "turns learning_rate = \(learningRate) into \(peak) at global_batch = "
                    + "\(globalBatch) with base_batch = \(baseBatch)",
                "choose an exponent from 0 to 1")
        }
        return ScaledRate(
            rule: rule, exponent: power, factor: factor, baseBatch: baseBatch,
            globalBatch: globalBatch, baseLearningRate: learningRate, peakLearningRate: peak,
            gradualWarmup: gradualWarmup)
    }
}

/// What the scaling rule made of a learning rate and a global batch.
package struct ScaledRate: Sendable, Equatable {
    package let rule: ScalingConfiguration.Rule
    package let exponent: Double
    /// `(globalBatch / baseBatch)^exponent`; it multiplies every rate of the schedule.
    package let factor: Double
    package let baseBatch: Int
    package let globalBatch: Int
    /// The recipe's rate, at `baseBatch`.
    package let baseLearningRate: Double
    /// The schedule's highest rate, at `globalBatch`.
    package let peakLearningRate: Double
    /// Whether warmup starts from the base rate.
    package let gradualWarmup: Bool

    /// The part of the peak that gradual warmup starts from: base rate over peak rate.
    ///
    /// At most 1: where scaling lowers the rate, there is nothing to warm up to.
    package var gradualStartFactor: Double { min(1, 1 / factor) }
}
