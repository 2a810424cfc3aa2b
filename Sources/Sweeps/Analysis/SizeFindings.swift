import Recipes
import Support
import Verdicts

/// The runs of one model of several, with the marks at which they are compared.
struct SizedMember: Sendable {
    let model: SizedModel
    let points: [TrainedPoint]
    /// The comparisons, the same for all models except for their marks.
    let designs: [Design]
    /// The tokens in a sequence, or nil if they are unknown.
    let contextLength: Int?
}

/// The models of one parametrization.
struct SizedFamily: Sendable {
    let parametrization: ParametrizationName
    let members: [SizedMember]
}

/// The name of a parametrization: one of Lockstep's, or any name in another trainer's file.
package struct ParametrizationName: Sendable, Hashable {
    /// The name in files, which is empty if the file has none.
    package let name: String

    init(_ name: String) { self.name = name }

    /// The name as sentences show it after "with".
    var title: String {
        name.isEmpty
            ? "an unnamed parametrization" : Parametrization(rawValue: name)?.title ?? name
    }

    /// The name in legends, tables and lists.
    package var label: String {
        name.isEmpty ? "unnamed" : Parametrization(rawValue: name)?.label ?? name
    }

    /// Returns the name of a model with the parametrizations that it is trained in, such as "width
    /// 64 (muP)". A model of the only parametrization needs none.
    static func model(_ name: String, in own: [ParametrizationName], isOnly: Bool) -> String {
        isOnly ? name : "\(name) (\(Format.list(own.map(\.label))))"
    }
}

/// The transfer of rates to larger models in one parametrization, by one comparison and batch.
package struct SizeTransfer: Sendable {
    package let parametrization: ParametrizationName
    package let batch: Int
    /// The comparison in words, such as "equal tokens".
    package let comparison: String
    package let analysis: TransferAnalysis
    /// The other comparisons with the same numbers. At the largest batch, equal tokens are often
    /// equal steps.
    package fileprivate(set) var sameComparisons: [String] = []
    /// The earlier comparison that has the same numbers; nil if there is none.
    package fileprivate(set) var repeats: String?

    /// All comparisons with these numbers in words.
    package var comparisons: String { Format.list([comparison] + sameComparisons) }

    /// The verdict with its parametrization and comparison.
    package var sentence: String {
        "With \(parametrization.title) at batch \(batch), by \(comparisons): "
            + analysis.sentence
    }
}

/// The findings of runs about the size of the model.
package struct SizeFindings: Sendable {
    package let transfers: [SizeTransfer]
    /// The transfers without those that repeat the numbers of another comparison.
    package var distinctTransfers: [SizeTransfer] { transfers.filter { $0.repeats == nil } }
    /// The joint fit of each parametrization whose runs allow one.
    package let fits: [(parametrization: ParametrizationName, fit: JointRateFit)]
    /// The reasons why models are in no transfer, with the runs that would change this, in
    /// sentences.
    package let gaps: [String]
    /// The analysis over batches of each model, by the model's name; none with one batch.
    package let models: [(name: String, analysis: Analysis)]
    package let tolerance: Double
    /// The level of every interval.
    package let level: Double

    /// Analyzes the transfer of the best rate within each family.
    ///
    /// - Parameters:
    ///   - comparisons: the name of each of the members' designs.
    ///   - models: the analysis over batches of each model.
    init(
        _ families: [SizedFamily], comparisons: [String],
        models: [(name: String, analysis: Analysis)], settings: AnalysisSettings
    ) {
        var transfers: [SizeTransfer] = []
        var fits: [(parametrization: ParametrizationName, fit: JointRateFit)] = []
        var gaps: [String] = []
        let batches = Set(families.flatMap(\.members).flatMap(\.points).map(\.batch)).sorted()
        for family in families {
            var observations: [JointRateFit.Observation] = []
            for batch in batches {
                var known: [SizeTransfer] = []
                for (place, comparison) in comparisons.enumerated() {
                    let analysis = Self.transfer(
                        family.members, batch: batch, comparison: place, settings)
                    guard let analysis else { continue }
                    let first = known.firstIndex {
                        $0.repeats == nil && $0.analysis == analysis
                    }
                    if let first { known[first].sameComparisons.append(comparison) }
                    known.append(
                        SizeTransfer(
                            parametrization: family.parametrization, batch: batch,
                            comparison: comparison, analysis: analysis,
                            repeats: first.map { known[$0].comparison }))
                    guard first == nil else { continue }
                    observations += Self.observations(
                        analysis, family.members, batch: batch, comparison: place,
                        number: transfers.count + known.count)
                }
                transfers += known
            }
            if let fit = JointRateFit(observations, level: settings.level) {
                fits.append((family.parametrization, fit))
            }
            let compared = transfers.filter { $0.parametrization == family.parametrization }
                .flatMap(\.analysis.models)
            gaps += family.gaps(beyond: Set(compared))
        }
        (self.transfers, self.fits, self.gaps) = (transfers, fits, gaps)
        self.models = batches.count < 2 ? [] : models
        (tolerance, level) = (settings.tolerance, settings.level)
    }

    private static func transfer(
        _ members: [SizedMember], batch: Int, comparison: Int, _ settings: AnalysisSettings
    ) -> TransferAnalysis? {
        TransferAnalysis(
            members.map { member in
                SizedRuns(
                    member.model,
                    member.points.filter { $0.batch == batch && $0.rule == TrainedPoint.grid },
                    design: member.designs[comparison])
            }, settings: settings)
    }

    /// Returns the best rates of a comparison, for a joint fit.
    ///
    /// - Parameter number: a number for the valley, which these best rates share.
    private static func observations(
        _ transfer: TransferAnalysis, _ members: [SizedMember], batch: Int, comparison: Int,
        number: Int
    ) -> [JointRateFit.Observation] {
        transfer.optima.compactMap { optimum in
            guard let best = optimum.optimum.best,
                let member = members.first(where: { $0.model.parameters == optimum.batch }),
                let tokens = member.tokens(ofBatch: batch, comparison: comparison)
            else { return nil }
            return JointRateFit.Observation(
                parameters: Double(optimum.batch), tokens: tokens, batch: Double(batch),
                best: best, comparison: number)
        }
    }

    /// The verdicts with their tables, and the analysis over batches of each model, as plain text.
    package var text: String {
        var lines = [
            "N counts the parameters outside the embeddings and the head. The regret of a model is "
                + "its loss at the smallest",
            "model's best rate, minus the loss at its own best rate.",
        ]
        for transfer in distinctTransfers {
            lines += ["", transfer.sentence] + transfer.analysis.table.lines.map { "  " + $0 }
            lines += transfer.analysis.details.map { "  " + $0 }
        }
        for (parametrization, fit) in fits {
            lines += ["", "With \(parametrization.title): \(fit.sentence)"]
        }
        lines += gaps.flatMap { ["", $0] }
        for (place, model) in models.enumerated() {
            // Models with the same base batch share the terms.
            let isKnown = models[..<place].contains {
                $0.analysis.baseBatch == model.analysis.baseBatch
            }
            lines += [
                "", "Over the batches of \(model.name):", "",
                isKnown ? model.analysis.summaryWithoutTerms : model.analysis.summary,
            ]
        }
        return lines.joined(separator: "\n")
    }

    /// Returns the findings as a JSON object.
    ///
    /// - Parameter notes: the limits of the runs in sentences.
    package func json(notes: [String]) -> JSONObject {
        [
            "schema": .integer(Analysis.schema), "tolerance": .number(tolerance),
            "level": .number(level),
            "notes": .array((notes + gaps).map { .string($0) }),
            "transfers": .array(
                transfers.map { transfer in
                    var json = transfer.analysis.json
                    json["parametrization"] = .string(transfer.parametrization.name)
                    json["batch"] = .integer(transfer.batch)
                    json["comparison"] = .string(transfer.comparison)
                    json["repeats"] = transfer.repeats.map { .string($0) } ?? .null
                    return .object(json)
                }),
            "joint_fits": .array(
                fits.map { parametrization, fit in
                    var json = fit.json
                    json["parametrization"] = .string(parametrization.name)
                    return .object(json)
                }),
            "models": .array(
                models.map { name, analysis in
                    var own = analysis.json(notes: [])
                    own["model"] = .string(name)
                    return .object(own)
                }),
        ]
    }
}

extension SizedMember {
    /// Returns the tokens after which runs of a batch are compared, or nil if they are unknown.
    fileprivate func tokens(ofBatch batch: Int, comparison: Int) -> Double? {
        switch designs[comparison] {
        case .equalTokens(let tokens): Double(tokens)
        case .equalSteps(let steps): contextLength.map { Double(steps * batch * $0) }
        }
    }
}
