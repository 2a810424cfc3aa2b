import Recipes
import Support
import Verdicts

extension SweepSpecification {
    /// Returns the findings about the size of the model.
    ///
    /// - Parameters:
    ///   - members: the sweep's members with their runs.
    ///   - analyses: the analysis over batches of each member that has runs.
    package func sizeFindings(
        _ members: [(member: SweepMember, points: [TrainedPoint])],
        analyses: [(member: SweepMember, analysis: Analysis)]
    ) -> SizeFindings {
        let families = parametrizations.map { parametrization in
            SizedFamily(
                parametrization: ParametrizationName(parametrization.rawValue),
                members: sizes.compactMap { size in
                    let variant = representative(of: SweepVariant(parametrization, size))
                    return members.first { $0.member.variant == variant }.map(sized)
                })
        }
        let comparisons = members.first?.member.specification.designs.indices ?? 0..<0
        return SizeFindings(
            families, comparisons: comparisons.map(comparison),
            models: analyses.map { ($0.member.variant.map(title) ?? "", $0.analysis) },
            settings: analysisSettings)
    }

    /// Returns the name of a size from the dimensions that vary, such as "width 64".
    private func name(of size: ModelSize) -> String {
        size.name(widthVaries: widths.count > 1, layersVary: layers.count > 1)
    }

    /// Returns the name of a model for readers, such as "width 64 (muP)".
    func title(of variant: SweepVariant) -> String {
        ParametrizationName.model(
            name(of: variant.size),
            in: parametrizations(sharing: variant).map { ParametrizationName($0.rawValue) },
            isOnly: parametrizations.count == 1)
    }

    private func sized(_ member: SweepMember, _ points: [TrainedPoint]) -> SizedMember {
        let size = member.variant?.size ?? baseRecipe.model.size
        return SizedMember(
            model: SizedModel(
                name: name(of: size),
                parameters: member.parameterCount),
            points: points, designs: member.specification.designs,
            contextLength: member.specification.baseRecipe.model.contextLength)
    }

    /// Returns the name of a comparison, without the marks that differ from model to model.
    private func comparison(_ place: Int) -> String {
        guard !tokensPerParameter.isEmpty, place < tokensPerParameter.count else {
            return designs[place].name
        }
        let value = tokensPerParameter.reversed()[place]
        return "\(Format.significant(value, digits: 4)) tokens per parameter"
    }
}

extension ModelSize {
    /// Returns a name from the dimensions that vary, such as "width 64".
    func name(widthVaries: Bool, layersVary: Bool) -> String {
        let (width, depth) = ("width \(width)", Format.counted(layers, "layer"))
        guard layersVary else { return width }
        return widthVaries ? "\(width), \(depth)" : depth
    }
}
