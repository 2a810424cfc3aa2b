import Support

extension OptimizerConfiguration {
    /// The optimizers by their names in recipes.
    package enum Name: String, NamedChoice {
        case sgd
        case adam
        case adamw
        case lamb
        case lars
        case muon

        /// The traits of the optimizer on which recipes and plans depend.
        var traits: OptimizerTraits {
            switch self {
            case .sgd: OptimizerTraits(isAdam: false, keys: [.momentum, .dampening])
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
                    isAdam: false, keys: [.momentum, .dampening, .trustCoefficient],
                    hasTrustRatios: true)
            case .muon:
                OptimizerTraits(
                    isAdam: false, keys: [.momentum, .betas, .adamLearningRate],
                    orthogonalizes: true, decouplesDecay: true, usualMomentum: 0.95,
                    usualNesterov: true, usualWeightDecay: 0.1)
            }
        }

        /// Whether steps follow Adam's two moments.
        package var isAdam: Bool { traits.isAdam }

        /// Whether steps are scaled by the norms of whole tensors.
        package var hasTrustRatios: Bool { traits.hasTrustRatios }

        /// Whether the matrices of the blocks move along orthogonalized directions.
        package var orthogonalizes: Bool { traits.orthogonalizes }

        /// Whether the size of a step does not follow the size of the gradient, so that the best
        /// rate grows as the square root of the batch below the noise scale.
        package var normalizesSteps: Bool { isAdam || orthogonalizes }

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
        static let dampening = Keys(rawValue: 8)
        static let adamLearningRate = Keys(rawValue: 16)
    }

    /// Whether the optimizer steps along Adam's two moments in all tensors. Otherwise it steps along
    /// the gradient or its momentum.
    let isAdam: Bool
    /// The keys that have an effect, out of those that only some optimizers take.
    let keys: Keys
    /// Whether the optimizer scales steps by the norms of whole tensors, so that its state cannot
    /// be sharded.
    var hasTrustRatios = false
    /// Whether the optimizer orthogonalizes the directions of the blocks' matrices, and updates
    /// other tensors as AdamW.
    var orthogonalizes = false
    /// Whether weight decay shrinks a tensor directly, so that it has a timescale: it is not part of
    /// the gradient or of a direction that is scaled by norms.
    var decouplesDecay = false
    /// Whether the rates of `Parametrization` are derived for the optimizer's update.
    var hasParametrizedRates = false
    /// The momentum if it is unset in a recipe.
    var usualMomentum = 0.0
    /// Whether the momentum is Nesterov's if that is unset in a recipe.
    var usualNesterov = false
    /// The weight decay if it is unset in a recipe.
    var usualWeightDecay = 0.0
}
