import Model
import Recipes
import Support

/// A model of a sweep over sizes: a size in a parametrization.
package struct SweepVariant: Sendable, Hashable {
    package let parametrization: Parametrization
    package let size: ModelSize

    package init(_ parametrization: Parametrization, _ size: ModelSize) {
        self.parametrization = parametrization
        self.size = size
    }

    /// The name of the variant in names of points, such as "mup-w64-l4".
    package var name: String { "\(parametrization.rawValue)-w\(size.width)-l\(size.layers)" }

    /// Parses a variant's name. Returns nil if the name is malformed.
    init?(name: some StringProtocol) {
        let parts = name.split(separator: "-")
        guard parts.count == 3, let parametrization = Parametrization(rawValue: String(parts[0])),
            parts[1].first == "w", let width = Int(parts[1].dropFirst()),
            parts[2].first == "l", let layers = Int(parts[2].dropFirst())
        else { return nil }
        self.init(parametrization, ModelSize(width: width, layers: layers))
    }
}

/// A part of a sweep whose runs have one model.
package struct SweepMember: Sendable, Equatable {
    /// The member's model; nil if the sweep has only the recipe's.
    package let variant: SweepVariant?
    /// The specification of the member's runs, without sizes.
    package let specification: SweepSpecification
}

extension SweepSpecification {
    /// Whether the sweep compares sizes of the model.
    package var hasSizes: Bool { !widths.isEmpty || !layers.isEmpty }

    /// The size at which all parametrizations are equal: the recipe's base, or otherwise the
    /// largest.
    ///
    /// The standard initial values suit wide models. With a narrow base, muP would give every width
    /// the small activations of that base.
    package var baseSize: ModelSize {
        let model = baseRecipe.model
        return ModelSize(
            width: model.baseWidth ?? widths.last ?? model.width,
            layers: model.baseLayers ?? layers.last ?? model.layers)
    }

    /// Returns the simplest variant that has the same runs. At its base size, a parametrization has
    /// the bits of a simpler one.
    func representative(of variant: SweepVariant) -> SweepVariant {
        let (size, base) = (variant.size, baseSize)
        var simplest = variant.parametrization
        if simplest == .completep, size.layers == base.layers { simplest = .mup }
        if simplest == .mup, size.width == base.width { simplest = .standard }
        return parametrizations.contains(simplest) ? SweepVariant(simplest, size) : variant
    }

    /// Returns the parametrizations in which a model that is trained has the same runs.
    func parametrizations(sharing variant: SweepVariant) -> [Parametrization] {
        parametrizations.filter {
            representative(of: SweepVariant($0, variant.size)) == variant
        }
    }

    /// The sizes of the sweep: every width with every number of layers.
    var sizes: [ModelSize] {
        (widths.isEmpty ? [baseRecipe.model.width] : widths).flatMap { width in
            (layers.isEmpty ? [baseRecipe.model.layers] : layers).map {
                ModelSize(width: width, layers: $0)
            }
        }
    }

    /// The models of the sweep: every size in every parametrization, without those that would repeat
    /// the runs of another.
    private var variants: [SweepVariant?] {
        guard hasSizes else { return [nil] }
        var variants: [SweepVariant] = []
        for parametrization in parametrizations {
            for size in sizes {
                let variant = representative(of: SweepVariant(parametrization, size))
                if !variants.contains(variant) { variants.append(variant) }
            }
        }
        return variants
    }

    /// The sweep's parts, one for each model.
    ///
    /// - Throws: `Failure` (configuration) if the recipe has no such size.
    package var members: [SweepMember] {
        get throws(Failure) {
            try variants.map { (variant) throws(Failure) in
                SweepMember(variant: variant, specification: try member(variant))
            }
        }
    }

    /// Returns the specification of the runs of one model.
    ///
    /// - Throws: `Failure` (configuration) if the recipe has no such size.
    package func member(_ variant: SweepVariant?) throws(Failure) -> SweepSpecification {
        guard let variant else { return self }
        var own = self
        (own.widths, own.layers, own.tokensPerParameter) = ([], [], [])
        do throws(Failure) {
            own.baseRecipe.model = try baseRecipe.model.resized(
                to: variant.size, variant.parametrization, base: baseSize, widthKey: "widths")
        } catch {
            throw error.inFile(path)
        }
        if !tokensPerParameter.isEmpty {
            own.tokens = try tokens(ofParameters: own.baseRecipe.model.innerParameterCount)
        }
        return own
    }

    /// Returns the tokens of `tokensPerParameter` for a number of parameters, rounded to whole steps
    /// of every batch.
    private func tokens(ofParameters count: Int) throws(Failure) -> [Int] {
        let context = baseRecipe.model.contextLength
        let common = Double(batches.reduce(1, leastCommonMultiple)) * Double(context)
        let tokens = tokensPerParameter.map {
            (max(1, ($0 * Double(count) / common).rounded()) * common)
        }
        guard tokens.allSatisfy({ $0 < 0x1p52 }), Set(tokens).count == tokens.count else {
            throw .key(
                "\(path): tokens_per_parameter", tokensPerParameter,
                "gives numbers of tokens that are equal or too large for \(count) parameters",
                remedy: "use other numbers, or fewer batches")
        }
        return tokens.map { Int($0) }
    }
}

extension SweepSpecification {
    /// The recipe of the first run of each member and batch.
    ///
    /// - Throws: the failures of `recipe(for:)`.
    var firstRecipes: [Recipe] {
        get throws(Failure) {
            var recipes: [Recipe] = []
            for member in try members {
                let own = member.specification
                for batch in own.batches {
                    recipes.append(try own.recipe(for: own.firstPoint(ofBatch: batch)))
                }
            }
            return recipes
        }
    }
}

extension SweepMember {
    /// The number of the model's parameters outside the embeddings and the head.
    package var parameterCount: Int { specification.baseRecipe.model.innerParameterCount }
}
