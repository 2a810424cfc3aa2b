import Support

/// A recipe's `[scaling]`: how the learning rate, and what goes with it, follow the global batch.
///
/// Rules are written with B for `global_batch`, B0 for `base_batch`, k for B / B0, and Bn for
/// `noise_scale`. All of them leave everything as it is where B is B0, but for `formula`, which
/// gives what it gives. Ranks, threads and nodes have no part in it.
package struct ScalingConfiguration: Sendable, Equatable {
    /// The rules, by their names in recipes.
    package enum Rule: String, NamedChoice {
        /// k^1 (Goyal et al. 2017, "Accurate, Large Minibatch SGD").
        case linear
        /// k^(1/2) (Krizhevsky 2014, "One weird trick for parallelizing CNNs").
        case sqrt
        /// k^0: one rate for every batch.
        case none
        /// k to the exponent that the recipe gives.
        case power
        /// k^(1/2), with betas of 1 - k (1 - beta) and epsilon / k^(1/2), so that Adam follows the
        /// same stochastic differential equation (Malladi et al. 2022, "On the SDEs and Scaling
        /// Rules for Adaptive Gradient Algorithms"); k must be below 1 / (1 - beta).
        case adamSDE = "adam-sde"
        /// beta2^k, so that the second moment's half-life in tokens is kept (Marek et al. 2025,
        /// "Small Batch Size Training for Language Models"). The rate itself is left to the user:
        /// it is kept, or follows k to the exponent that the recipe gives.
        case beta2HalfLife = "beta2-half-life"
        /// ((1 + Bn/B0) / (1 + Bn/B))^a, which is lr_max / (1 + Bn/B)^a with the lr_max that gives
        /// `learning_rate` at B0 (McCandlish et al. 2018, "An Empirical Model of
        /// Large-Batch Training"). With a = 1 it is AdaScale's gain (Johnson et al. 2020).
        case noiseScale = "noise-scale"
        /// The best rate of Adam-style optimizers, lr_max / ((sqrt(Bn/B) + sqrt(B/Bn)) / 2), with
        /// the lr_max that gives `learning_rate` at B0: it rises up to B = Bn and then falls (Li et
        /// al. 2024, "Surge Phenomenon in Optimal Learning Rate and Batch Size Scaling").
        case surge
        /// The rate that `formula` gives.
        case formula
    }

    /// What becomes of `weight_decay`, by names in recipes.
    package enum WeightDecay: String, NamedChoice {
        /// It stays as it is.
        case kept
        /// It is scaled by k / (rate / base rate), so that AdamW's timescale B / (rate * decay) in
        /// tokens is kept (Bergsma et al. 2025, "Power Lines").
        case timescale
    }

    /// What is kept of the warmup when the batch changes, by names in recipes.
    package enum Warmup: String, NamedChoice {
        /// Its steps.
        case steps
        /// Its tokens: `warmup_steps` are of the base batch.
        case tokens
    }

    /// `rule`.
    package var rule: Rule
    /// `exponent`: the rule `power`'s, any number; that of `beta2-half-life` where nil is 0; nil
    /// with the other rules.
    package var exponent: Double?
    /// `base_batch`: the global batch, in sequences, that `learning_rate` was chosen for.
    ///
    /// Whoever reads a recipe that is silent puts its `global_batch` here before any override, so
    /// that overriding the batch scales the rate; nil means the batch that is trained with.
    package var baseBatch: Int?
    /// `noise_scale`: the gradient noise scale Bn in sequences, above 0, for `noise-scale`, `surge`
    /// and `formula`.
    package var noiseScale: Double?
    /// `noise_exponent`: `noise-scale`'s a, in [0.5, 1]; nil for 1 with SGD and LARS, whose best
    /// rate is proportional to the batch below the noise scale, and 1/2 with Adam and its kin.
    package var noiseExponent: Double?
    /// `formula`: the peak rate as a function of lr, B, B0, k and, if there is a noise scale, Bn.
    package var formula: String?
    /// `weight_decay`: what becomes of it; `timescale` needs AdamW.
    package var weightDecay: WeightDecay
    /// `warmup`: what is kept of it.
    package var warmup: Warmup
    /// `gradual_warmup`: whether warmup starts from the base rate instead of
    /// `schedule.warmup_start_factor` (Goyal et al. 2017, section 2.2).
    package var gradualWarmup: Bool

    package init(
        rule: Rule = .linear, exponent: Double? = nil, baseBatch: Int? = nil,
        noiseScale: Double? = nil, noiseExponent: Double? = nil, formula: String? = nil,
        weightDecay: WeightDecay = .kept, warmup: Warmup = .steps, gradualWarmup: Bool = false
    ) {
        self.rule = rule
        self.exponent = exponent
        self.baseBatch = baseBatch
        self.noiseScale = noiseScale
        self.noiseExponent = noiseExponent
        self.formula = formula
        self.weightDecay = weightDecay
        self.warmup = warmup
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
        try validateExponent()
        try validateNoise()
        _ = try validatedFormula()
    }

    private func validateExponent() throws(Failure) {
        if let exponent {
            guard rule == .power || rule == .beta2HalfLife else {
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
                    + "or another number from 0 to 1.")
        }
    }
    private func validateNoise() throws(Failure) {
        if let noiseExponent {
            guard rule == .noiseScale else {
                throw conflict(
                    "[scaling] noise_exponent", noiseExponent,
                    "does nothing with rule = \"\(rule.rawValue)\"",
                    "remove it, or set rule = \"noise-scale\"")
            }
            guard noiseExponent >= 0.5, noiseExponent <= 1 else {
                throw invalid(
                    "[scaling] noise_exponent", noiseExponent, "in [0.5, 1]",
                    "use 1 for SGD, or 0.5 for Adam and its kin")
            }
        }
        guard let noiseScale else {
            guard rule != .noiseScale, rule != .surge else {
                throw Failure(
                    .configuration,
                    "[scaling] noise_scale is missing, which rule = \"\(rule.rawValue)\" needs: add "
                        + "the gradient noise scale in sequences, such as noise_scale = 256.")
            }
            return
        }
        guard rule == .noiseScale || rule == .surge || rule == .formula else {
            throw conflict(
                "[scaling] noise_scale", noiseScale,
                "does nothing with rule = \"\(rule.rawValue)\"",
                "remove it, or set rule = \"noise-scale\" or \"surge\"")
        }
        guard noiseScale.isFinite, noiseScale > 0 else {
            throw invalid(
                "[scaling] noise_scale", noiseScale, "a number of sequences above 0",
                "set the gradient noise scale, such as 256")
        }
    }

    /// The formula of the rule `formula`, of the variables lr, B, B0, k and Bn; nil with the
    /// others.
    func validatedFormula() throws(Failure) -> Formula? {
        guard let formula else {
            guard rule != .formula else {
                throw Failure(
                    .configuration,
                    "[scaling] formula is missing, which rule = \"formula\" needs: add one such as "
                        + "formula = \"lr * (B / B0)^0.7\".")
            }
            return nil
        }
        let written = formula.prefix(60).debugDescription
        guard rule == .formula else {
            throw conflict(
                "[scaling] formula", written, "does nothing with rule = \"\(rule.rawValue)\"",
                "remove it, or set rule = \"formula\"")
        }
        let parsed = try Formula(
            formula, key: "[scaling] formula", variables: ["lr", "B", "B0", "k", "Bn"])
        guard parsed.mentions("Bn") == (noiseScale != nil) else {
            guard let noiseScale else {
                throw conflict(
                    "[scaling] formula", written, "mentions Bn, which noise_scale does not give",
                    "add the gradient noise scale in sequences, such as noise_scale = 256")
            }
            throw conflict(
                "[scaling] noise_scale", noiseScale, "does nothing with a formula without Bn",
                "remove it, or write Bn in the formula")
        }
        return parsed
    }
}
