import Support

/// A recipe's `[scaling]`: the dependence of the learning rate and related values on the global
/// batch.
///
/// Rules are written with B for `global_batch`, B0 for `base_batch`, k for B / B0, and Bn for
/// `noise_scale`. All rules except `formula` change nothing if B equals B0. Ranks, threads and
/// hosts have no effect.
public struct ScalingConfiguration: Sendable, Equatable {
    /// The ways to scale `weight_decay`, by their names in recipes.
    public enum WeightDecay: String, NamedChoice {
        /// The weight decay is unchanged.
        case kept
        /// The weight decay is scaled by k / (rate / base rate), so that AdamW's timescale in
        /// tokens, B / (rate * decay), is kept (Bergsma et al. 2025, "Power Lines").
        case timescale
    }

    /// The measures of the warmup that can be kept when the batch changes, by their names in
    /// recipes.
    public enum Warmup: String, NamedChoice {
        /// The number of steps.
        case steps
        /// The number of tokens; `warmup_steps` are steps of the base batch.
        case tokens
    }

    /// `rule`: the scaling rule.
    public var rule = Rule.linear
    /// `exponent`: the exponent of `power`, which may be any number, or of `beta2-half-life`, where
    /// nil means 0. It is nil with the other rules.
    public var exponent: Double?
    /// `base_batch`: the global batch, in sequences, for which `learning_rate` was chosen.
    ///
    /// If a recipe does not set it, reading the recipe sets it to `global_batch` before any
    /// override, so that overriding the batch scales the rate. Nil means the global batch of the
    /// run.
    public var baseBatch: Int?
    /// `noise_scale`: the gradient noise scale Bn in sequences, above 0, for `noise-scale`, `surge`
    /// and `formula`.
    public var noiseScale: Double?
    /// `noise_exponent`: the exponent a of `noise-scale`, in [0.5, 1]. Nil means 1 with SGD and
    /// LARS, whose best rate is proportional to the batch below the noise scale, and 1/2 with Adam
    /// and similar optimizers.
    public var noiseExponent: Double?
    /// `formula`: the peak rate as a function of lr, B, B0, k and, if there is a noise scale, Bn.
    public var formula: String?
    /// `weight_decay`: the way to scale the weight decay; `timescale` needs AdamW.
    public var weightDecay = WeightDecay.kept
    /// `warmup`: the measure of the warmup that is kept.
    public var warmup = Warmup.steps
    /// `gradual_warmup`: whether warmup starts from the base rate instead of
    /// `schedule.warmup_start_factor` (Goyal et al. 2017, section 2.2).
    public var gradualWarmup = false

    public init() {}

    /// Checks every value.
    ///
    /// - Throws: `Failure` (configuration) that names the first impossible value.
    public func validate() throws(Failure) {
        if let baseBatch {
            try require(
                baseBatch >= 1,
                or: .key(
                    "[scaling] base_batch", baseBatch, "must be a number of sequences, 1 or more",
                    remedy: "set the global batch that learning_rate was chosen for"))
        }
        for key in ScalingKey.allCases { try validateUse(of: key) }
        if let exponent {
            try require(
                exponent.isFinite,
                or: .key(
                    "[scaling] exponent", exponent, "must be a finite number",
                    remedy: "use 0.5 or another from 0 to 1"))
        }
        if let noiseExponent {
            try require(
                (0.5...1).contains(noiseExponent),
                or: .key(
                    "[scaling] noise_exponent", noiseExponent, "must be in [0.5, 1]",
                    remedy: "use 1 for SGD, or 0.5 for Adam and similar optimizers"))
        }
        if let noiseScale {
            try require(
                noiseScale.isFinite && noiseScale > 0,
                or: .key(
                    "[scaling] noise_scale", noiseScale, "must be a number of sequences above 0",
                    remedy: "set the gradient noise scale, such as 256"))
        }
        try rule.definition.init(self).validate()
    }

    /// Checks that the rule takes a key that is set, and that a key that it requires is set.
    private func validateUse(of key: ScalingKey) throws(Failure) {
        let use = rule.definition.keys[key]
        if let value = key.written(in: self) {
            return try require(
                use != nil,
                or: .key(
                    "[scaling] \(key.rawValue)", value,
                    "does nothing with rule = \"\(rule.rawValue)\"",
                    remedy: "remove it, or set \(key.rules)"))
        }
        guard use == .required else { return }
        throw .about(
            .configuration, "[scaling] \(key.rawValue)",
            "is missing, but rule = \"\(rule.rawValue)\" needs it", remedy: key.example)
    }
}
