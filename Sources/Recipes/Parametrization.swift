import Support

/// The dependence of a tensor's initial values, rate and epsilon on the size of the model.
///
/// The factors are relative to a model of `base_width` and `base_layers`, at which every
/// parametrization equals the standard one. The published forms multiply activations by constants.
/// Here these constants are moved into the initial values, rates and epsilons of the tensors that
/// follow, which gives the same function and the same steps of Adam (Yang et al. 2022, 2203.03466,
/// appendix J.2.1). So the model remains an ordinary GPT-2, which other tools load.
package enum Parametrization: String, NamedChoice {
    /// The same initial values and the same rate at any size.
    case standard
    /// Maximal update parametrization: activations change equally at any width (2203.03466).
    case mup
    /// muP, with residual branches that shrink with the depth (2505.01618, with alpha = 1).
    case completep

    /// The name in legends, tables and lists. Recipes and files have the raw value.
    package var label: String {
        switch self {
        case .standard: "standard"
        case .mup: "muP"
        case .completep: "CompleteP"
        }
    }

    /// The name in sentences after "with".
    package var title: String { self == .standard ? "the standard parametrization" : label }

    /// Returns the factors of a tensor.
    ///
    /// - Parameters:
    ///   - width: the width relative to the base width.
    ///   - depth: the number of layers relative to the base number.
    package func factors(of role: TensorRole, width: Double, depth: Double) -> TensorFactors {
        let l = self == .completep ? depth : 1
        guard self != .standard else { return .one }
        // The gradients of a block's input side also pass through its scaled branch.
        let inner = 1 / (width * l)
        return switch role {
        case .embedding, .head: TensorFactors(initial: 1, rate: 1, epsilon: 1 / width)
        case .blockVector: TensorFactors(initial: 1, rate: 1, epsilon: inner)
        case .blockMatrix:
            TensorFactors(initial: 1 / width.squareRoot(), rate: 1 / width, epsilon: inner)
        case .residualMatrix:
            // GPT-2 divides by the square root of the depth itself.
            TensorFactors(
                initial: 1 / (width * l).squareRoot(), rate: 1 / (width * l), epsilon: 1 / width)
        case .residualBias: TensorFactors(initial: 1, rate: 1 / l, epsilon: 1 / width)
        case .finalNorm: TensorFactors(initial: 1 / width, rate: 1 / width, epsilon: 1)
        }
    }
}

/// The role of a tensor in a model, on which its factors depend.
package enum TensorRole: Sendable {
    /// A table of tokens or positions.
    case embedding
    /// A norm's gain or bias, or the bias of a product inside a branch.
    case blockVector
    /// The weight of a product inside a branch.
    case blockMatrix
    /// The weight of the last product of a branch, whose result is added to the residual stream.
    case residualMatrix
    /// The bias of that product.
    case residualBias
    case finalNorm
    /// The weight of a head that is not tied to the token table.
    case head
}

/// The factors by which a parametrization changes a tensor.
package struct TensorFactors: Sendable, Equatable {
    /// The factor of the initial values.
    package let initial: Double
    /// The factor of the learning rate. The share of a parameter that decoupled weight decay
    /// removes per step does not have it.
    package let rate: Double
    /// The factor of Adam's epsilon, which follows the size of the tensor's gradients.
    package let epsilon: Double

    package init(initial: Double, rate: Double, epsilon: Double) {
        self.initial = initial
        self.rate = rate
        self.epsilon = epsilon
    }

    /// The factors of the standard parametrization.
    package static let one = TensorFactors(initial: 1, rate: 1, epsilon: 1)
}

extension GPTConfiguration {
    /// The width relative to the base width.
    package var widthRatio: Double { Double(width) / Double(baseWidth ?? width) }

    /// The number of layers relative to the base number.
    package var depthRatio: Double { Double(layers) / Double(baseLayers ?? layers) }

    /// Returns the factors of a tensor of this model.
    package func factors(of role: TensorRole) -> TensorFactors {
        parametrization.factors(of: role, width: widthRatio, depth: depthRatio)
    }

    /// Checks the parametrization and the sizes that it takes.
    ///
    /// - Throws: `Failure` (configuration) that names the key.
    func validateParametrization() throws(Failure) {
        let name = "\"\(parametrization.rawValue)\""
        let sizes = [
            ("base_width", baseWidth, width, parametrization != .standard),
            ("base_layers", baseLayers, layers, parametrization == .completep),
        ]
        for (key, value, own, isUsed) in sizes {
            guard let value else {
                try require(
                    !isUsed,
                    or: .key(
                        "[model] parametrization", name, "needs \(key)",
                        remedy:
                            "set \(key) = \(own), or the size at which it is to equal \"standard\"")
                )
                continue
            }
            try require(
                isUsed,
                or: .key(
                    "[model] \(key)", value, "does nothing with parametrization = \(name)",
                    remedy: "remove it, or set parametrization = "
                        + (key == "base_width" ? "\"mup\"" : "\"completep\"")))
            try require(
                value >= 1 && value <= 1 << 20,
                or: .key(
                    "[model] \(key)", value, "must be from 1 to \(1 << 20)", remedy: "write \(own)")
            )
        }
    }
}
