import Recipes
import Support
import Verdicts

extension RunTable {
    /// Analyzes the runs of several models.
    ///
    /// - Parameter marks: the comparisons; if there are none, each model's runs are compared where
    ///   they end.
    /// - Throws: `Failure` (bad data) if the models have nothing to compare.
    func sizeFindings(
        _ settings: AnalysisSettings, marks: [Design]
    ) throws(Failure) -> RunTableFindings {
        var (designs, notes) =
            marks.isEmpty ? try sharedDesigns() : (models.map { _ in marks }, [])
        for (model, designs) in zip(models, designs) {
            notes += Self.nearMarkNotes(designs, model.points).filter { !notes.contains($0) }
        }
        let comparisons = designs[0].indices.map { place in
            Set(designs.map { $0[place] }).count == 1
                ? designs[0][place].name
                : "the \(designs[0][place].unit) that each model's runs reach"
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
                parametrization: ParametrizationName(name),
                members: sized.filter { $0.name == name }.map(\.member))
        }
        // With one batch, there is nothing to compare over batches.
        let analyses = try (hasOneBatch ? [] : sized).map { (name, member) throws(Failure) in
            var own = settings
            own.designs = member.designs
            return (
                name: ParametrizationName.model(
                    member.model.name, in: [ParametrizationName(name)], isOnly: names.count == 1),
                analysis: try Analysis(member.points, settings: own)
            )
        }
        let findings = SizeFindings(
            families, comparisons: comparisons, models: analyses, settings: settings)
        guard !findings.transfers.isEmpty || !findings.models.isEmpty else {
            throw .file(
                .badData, path,
                "has nothing to compare, because each parametrization has one model and one batch",
                remedy: "add runs of another size or batch")
        }
        return RunTableFindings(result: .sizes(findings), notes: columnNotes + notes)
    }

    /// Returns the comparisons that all models have, with each model's own marks, and notes on the
    /// limits of these comparisons.
    private func sharedDesigns() throws(Failure) -> (designs: [[Design]], notes: [String]) {
        let all = try models.map { (model) throws(Failure) in
            try commonDesigns(model.points.filter { $0.rule == TrainedPoint.grid })
        }
        var units = all[0].designs.map(\.unit).filter { unit in
            all.allSatisfy { $0.designs.contains { $0.unit == unit } }
        }
        guard !units.isEmpty else {
            throw .file(
                .badData, path, "has no comparison that all models share",
                remedy: "add rows after equal steps or equal tokens of every batch to every model")
        }
        // With one batch, equal tokens are equal steps, and no comparison is missing.
        if hasOneBatch { units = [units[0]] }
        var notes: [String] = []
        for (model, own) in zip(models, all) where !hasOneBatch {
            for note in own.notes {
                let isCommon = all.allSatisfy { $0.notes.contains(note) }
                let text = isCommon ? note : "For \(name(of: model.model)): \(note)"
                if !notes.contains(text) { notes.append(text) }
            }
        }
        let designs = all.map { own in
            units.compactMap { unit in own.designs.first { $0.unit == unit } }
        }
        return (designs, notes)
    }

    var hasOneBatch: Bool { Set(points.map(\.batch)).count == 1 }

    private func member(
        _ model: RunModel, _ points: [TrainedPoint], _ designs: [Design]
    ) -> SizedMember {
        let contextLengths = points.lazy.compactMap { run in
            run.tokensPerStep.map { Int($0) / run.batch }
        }
        return SizedMember(
            model: SizedModel(
                name: name(of: model), parameters: model.parameters ?? 0),
            points: points, designs: designs,
            contextLength: hasSteps && hasTokens ? contextLengths.first : nil)
    }

    /// Returns a name from the dimensions that vary, or from the number of parameters if these do
    /// not distinguish the model.
    private func name(of model: RunModel) -> String {
        let size = sizeName(of: model)
        let others = models.map(\.model).filter {
            $0 != model && $0.parametrization == model.parametrization
        }
        guard let size, !others.contains(where: { sizeName(of: $0) == size }) else {
            return "\(Format.count(model.parameters ?? 0)) parameters"
        }
        return size
    }

    /// Returns a name from the dimensions that vary, as far as they are known; nil if none is.
    private func sizeName(of model: RunModel) -> String? {
        switch (model.width, model.layers) {
        case (let width?, let layers?):
            ModelSize(width: width, layers: layers).name(
                widthVaries: Set(models.map(\.model.width)).count > 1,
                layersVary: Set(models.map(\.model.layers)).count > 1)
        case (let width?, nil): "width \(width)"
        case (nil, let layers?): Format.counted(layers, "layer")
        case (nil, nil): nil
        }
    }
}
