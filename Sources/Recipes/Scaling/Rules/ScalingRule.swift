import Support

/// A rule that adapts the peak learning rate, and in some rules the betas, to the global batch.
///
/// To add a rule:
/// 1. Write a type that conforms to this protocol, in a file of its own.
/// 2. Add its name and its type to `ScalingConfiguration.Rule` below.
///
/// The recipe's checks, the plan, sweeps and `find-lr` follow from the conformance.
protocol ScalingRule {
    /// The keys that the rule takes, out of the keys of `[scaling]` that only some rules take.
    static var keys: [ScalingKey: ScalingKey.Use] { get }
    /// Whether the rule changes betas, so that the optimizer must have them.
    static var scalesBetas: Bool { get }

    /// Creates the rule with the numbers in `scaling`, which may not have been validated yet.
    init(_ scaling: ScalingConfiguration)

    /// Returns the description of the rule in the plan: its name in recipes, and its numbers.
    func title(_ name: String) -> String

    /// Checks conditions that involve several values.
    ///
    /// - Throws: `Failure` (configuration) if a condition is not met.
    func validate() throws(Failure)

    /// Returns the peak rate at the global batch.
    ///
    /// - Throws: `Failure` (configuration) if the result is not a learning rate.
    func peakRate(_ batches: BatchChange) throws(Failure) -> PeakRate

    /// Changes the optimizer's values other than the rate and the weight decay.
    ///
    /// - Throws: `Failure` (configuration) if the rule does not hold at the global batch.
    func scale(_ optimizer: inout OptimizerConfiguration, _ batches: BatchChange) throws(Failure)

    /// Sets unset keys to the values that the rule uses for an optimizer, so that a later default
    /// cannot change a run that is resumed.
    func settle(_ scaling: inout ScalingConfiguration, for optimizer: OptimizerConfiguration)

    /// Returns whether the rule still holds at the global batch.
    func reaches(_ batches: BatchChange) -> Bool
}

extension ScalingConfiguration {
    /// The rules by their names in recipes.
    public enum Rule: String, NamedChoice {
        case linear
        case sqrt
        case none
        case power
        case adamSDE = "adam-sde"
        case beta2HalfLife = "beta2-half-life"
        case noiseScale = "noise-scale"
        case surge
        case formula

        /// The type that defines the rule.
        var definition: any ScalingRule.Type {
            switch self {
            case .linear: LinearRule.self
            case .sqrt: SquareRootRule.self
            case .none: ConstantRule.self
            case .power: PowerRule.self
            case .adamSDE: AdamSDERule.self
            case .beta2HalfLife: BetaHalfLifeRule.self
            case .noiseScale: NoiseScaleRule.self
            case .surge: SurgeRule.self
            case .formula: FormulaRule.self
            }
        }

        /// Whether the rule changes the optimizer's betas as well as the rate.
        package var scalesBetas: Bool { definition.scalesBetas }

        /// Whether the rule needs only the batches and the optimizer's numbers.
        package var needsNoKey: Bool { !definition.keys.values.contains(.required) }
    }
}

extension ScalingRule {
    static var keys: [ScalingKey: ScalingKey.Use] { [:] }
    static var scalesBetas: Bool { false }
    func title(_ name: String) -> String { name }
    func validate() throws(Failure) {}
    func scale(_ optimizer: inout OptimizerConfiguration, _ batches: BatchChange) throws(Failure) {}
    func settle(_ scaling: inout ScalingConfiguration, for optimizer: OptimizerConfiguration) {}
    func reaches(_ batches: BatchChange) -> Bool { true }
}

/// The batches that a rule compares, in sequences.
struct BatchChange {
    let base: Int
    let global: Int
    /// The configuration at the base batch.
    let optimizer: OptimizerConfiguration
    /// k = B / B0.
    var ratio: Double { Double(global) / Double(base) }
}

/// The peak rate at a global batch.
struct PeakRate {
    /// The exponent such that `factor` is the batch ratio to that power; nil if there is none.
    var exponent: Double?
    /// The ratio of the peak rate to the base rate.
    let factor: Double
    let rate: Double
}

extension PeakRate {
    /// Creates the peak rate as the rate at the base batch times a factor.
    ///
    /// - Parameters:
    ///   - key: the key of `[scaling]` to name if the product is not a learning rate, with its
    ///     value.
    ///   - remedy: the value to choose instead.
    /// - Throws: `Failure` (configuration) if the product is not a number above 0.
    init(
        _ factor: Double, _ batches: BatchChange, key: (ScalingKey, value: Double), remedy: String
    ) throws(Failure) {
        let base = batches.optimizer.learningRate
        let rate = base * factor
        try require(
            factor.isFinite && rate.isFinite && rate > 0,
            or: .key(
                "[scaling] \(key.0.rawValue)", key.value,
                "turns learning_rate = \(base) into \(described(rate)) at global_batch = "
                    + "\(batches.global) with base_batch = \(batches.base)",
                remedy: "choose \(remedy)"))
        self.init(factor: factor, rate: rate)
    }

    /// Creates the peak rate as the rate at the base batch times a power of the batch ratio.
    ///
    /// - Throws: `Failure` (configuration) if the product is not a number above 0.
    init(power exponent: Double, _ factor: Double, _ batches: BatchChange) throws(Failure) {
        try self.init(
            factor, batches, key: (.exponent, exponent),
            remedy: "an exponent from 0 to 1")
        self.exponent = exponent
    }
}

/// Returns a number as it appears in a sentence. Processors differ in the sign of NaN.
func described(_ value: Double) -> String { value.isNaN ? "nan" : "\(value)" }
