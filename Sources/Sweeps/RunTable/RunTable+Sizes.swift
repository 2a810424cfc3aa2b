import Recipes
import Support
import Verdicts

extension RunTable {
    /// Analyzes the runs of several models.
    ///
    /// - Parameter marks: the comparisons; if there are none, each model's runs are compared where
    ///   they end.
    /// - Throws: `Failure` (bad data) if the runs of a model have nothing to compare.
    func sizeFindings(
        _ settings: AnalysisSettings, marks: [Design]
    ) throws(Failure) -> RunTableFindings {
        var notes: [String] = []
        var designs: [[Design]] = []
        for (_, points) in models {
            let grid = points.filter { $0.rule == TrainedPoint.grid }
            let (own, limits) = marks.isEmpty ? try commonDesigns(grid) : (marks, [])
            designs.append(own)
            for note in limits where !notes.contains(note) { notes.append(note) }
        }
        // The comparisons that every model has. With one batch, equal tokens are equal steps.
        var units = designs[0].map(\.unit).filter { unit in
            designs.allSatisfy { $0.contains { $0.unit == unit } }
        }
        if marks.isEmpty, Set(points.map(\.batch)).count == 1 { units = Array(units.prefix(1)) }
        if marks.isEmpty {
            designs = designs.map { own in
                units.compactMap { unit in own.first { $0.unit == unit } }
            }
        }
        let comparisons = designs[0].indices.map { place in
            Set(designs.map { $0[place] }).count == 1
                ? designs[0][place].name : "the \(designs[0][place].unit) of each model"
        }
        let sized = zip(models, designs).map { pair, designs in
            (name: pair.model.parametrization, member: member(pair.model, pair.points, designs))
        }
        var names: [String] = []
        for (name, _) in sized where !names.contains(name) { names.append(name) }
        let known = Parametrization.allCases.map(\.rawValue)
        names = known.filter(names.contains) + names.filter { !known.contains($0) }
        let families = names.map { name in
            SizedFamily(
                parametrization: ParametrizationName(
                    name.isEmpty ? "an unnamed parametrization" : name),
                members: sized.filter { $0.name == name }.map(\.member))
        }
        let analyses = try sized.map { (name, member) throws(Failure) in
            var own = settings
            own.designs = member.designs
            return (
                name: name.isEmpty ? member.model.name : "\(name), \(member.model.name)",
                analysis: try Analysis(member.points, settings: own)
            )
        }
        return RunTableFindings(
            result: .sizes(
                SizeFindings(
                    families, comparisons: comparisons, models: analyses, settings: settings)),
            notes: notes)
    }

    private func member(
        _ model: RunModel, _ points: [TrainedPoint], _ designs: [Design]
    ) -> SizedMember {
        let parameters = model.parameters ?? 0
        let perStep = hasSteps && hasTokens ? points.lazy.compactMap(\.tokensPerStep).first : nil
        return SizedMember(
            model: SizedModel(
                name: name(of: model) ?? "\(Format.count(parameters)) parameters",
                parameters: parameters),
            points: points, designs: designs,
            contextLength: perStep.map { Int($0) / points[0].batch })
    }

    /// Returns a name from the dimensions that vary, or nil if they are unknown.
    private func name(of model: RunModel) -> String? {
        guard let width = model.width, let layers = model.layers else { return nil }
        return ModelSize(width: width, layers: layers).name(
            widthVaries: Set(models.map(\.model.width)).count > 1,
            layersVary: Set(models.map(\.model.layers)).count > 1)
    }
}
