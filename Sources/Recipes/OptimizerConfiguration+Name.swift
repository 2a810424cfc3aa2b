import Support

extension OptimizerConfiguration {
    /// The optimizers by their names in recipes.
    public enum Name: String, NamedChoice {
        case sgd
        case adam
        case adamw
        case lamb
        case lars

        /// The traits of the optimizer on which recipes and plans depend.
        var traits: OptimizerTraits {
            switch self {
            case .sgd: OptimizerTraits(isAdam: false, keys: .momentum)
            case .adam: OptimizerTraits(isAdam: true, keys: .betas)
            case .adamw:
                OptimizerTraits(
                    isAdam: true, keys: .betas, decouplesDecay: true,
                    hasParametrizedRates: true, usualWeightDecay: 0.1)
            case .lamb:
                OptimizerTraits(
                    isAdam: true, keys: .betas, hasTrustRatios: true, usualWeightDecay: 0.01)
            case .lars:
                OptimizerTraits(
                    isAdam: false, keys: [.momentum, .trustCoefficient], hasTrustRatios: true)
            }
        }

        /// Whether steps follow Adam's two moments.
        package var isAdam: Bool { traits.isAdam }

        /// Whether steps are scaled by the norms of whole tensors.
        package var hasTrustRatios: Bool { traits.hasTrustRatios }

        /// Whether weight decay shrinks a tensor directly, apart from the step along its gradient.
        package var decouplesDecay: Bool { traits.decouplesDecay }

        /// Returns whether a key that only some optimizers take has an effect.
        func takes(_ key: OptimizerTraits.Keys) -> Bool { traits.keys.contains(key) }

        /// Returns the setting that chooses an optimizer with a trait, for remedies.
        static func setting(where hasTrait: (OptimizerTraits) -> Bool) -> String {
            let names = allCases.filter { hasTrait($0.traits) }
            return "name = \(Format.alternatives(names.map { "\"\($0.rawValue)\"" }))"
        }
    }
}

/// The traits of an optimizer on which its configuration, the scaling rules and the memory plan
/// depend.
struct OptimizerTraits {
    /// The keys of `[optimizer]` that only some optimizers take.
    struct Keys: OptionSet {
        let rawValue: Int
        static let momentum = Keys(rawValue: 1)
        static let betas = Keys(rawValue: 2)
        static let trustCoefficient = Keys(rawValue: 4)
    }

    /// Whether the optimizer steps along Adam's two moments. Otherwise it steps along the gradient
    /// or its momentum.
    let isAdam: Bool
    /// The keys that have an effect, out of those that only some optimizers take.
    let keys: Keys
    /// Whether the optimizer scales steps by the norms of whole tensors, so that its state cannot
    /// be sharded.
    var hasTrustRatios = false
    /// Whether weight decay shrinks a tensor directly, so that it has a timescale: it is not part of
    /// the gradient or of a direction that is scaled by norms.
    var decouplesDecay = false
    /// Whether the rates of `Parametrization` are derived for the optimizer's update.
    var hasParametrizedRates = false
    /// The weight decay if it is unset in a recipe.
    var usualWeightDecay = 0.0
}
