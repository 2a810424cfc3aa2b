import Recipes
import Support
import Verdicts

/// The transfer of rates to larger models in one parametrization, by one comparison and batch.
package struct SizeTransfer: Sendable {
    package let parametrization: Parametrization
    package let batch: Int
    /// The comparison in words, such as "equal tokens".
    package let comparison: String
    package let analysis: TransferAnalysis

    /// The verdict with its parametrization and comparison.
    package var sentence: String {
        "With \(parametrization.title) at batch \(batch), by \(comparison): "
            + analysis.sentence
    }
}

/// The findings of a sweep about the size of the model.
package struct SizeFindings: Sendable {
    package let transfers: [SizeTransfer]
    /// The joint fit of each parametrization whose runs allow one.
    package let fits: [(parametrization: Parametrization, fit: JointRateFit)]

    /// - Parameter members: the sweep's members with their runs.
    package init(
        _ members: [(member: SweepMember, points: [TrainedPoint])],
        _ specification: SweepSpecification
    ) {
        var transfers: [SizeTransfer] = []
        var fits: [(parametrization: Parametrization, fit: JointRateFit)] = []
        for parametrization in specification.parametrizations {
            let own = specification.sizes.compactMap { size in
                let variant = specification.representative(of: SweepVariant(parametrization, size))
                return members.first { $0.member.variant == variant }
            }
            var observations: [JointRateFit.Observation] = []
            for batch in specification.batches {
                for place in own.first?.member.specification.designs.indices ?? 0..<0 {
                    let transfer = Self.transfer(
                        own, batch: batch, comparison: place, specification)
                    guard let transfer else { continue }
                    transfers.append(
                        SizeTransfer(
                            parametrization: parametrization, batch: batch,
                            comparison: specification.comparison(place), analysis: transfer))
                    observations += Self.observations(
                        transfer, own.map(\.member), batch: batch, comparison: place)
                }
            }
            if let fit = JointRateFit(observations, level: specification.analysisSettings.level) {
                fits.append((parametrization, fit))
            }
        }
        self.transfers = transfers
        self.fits = fits
    }

    private static func transfer(
        _ members: [(member: SweepMember, points: [TrainedPoint])], batch: Int, comparison: Int,
        _ specification: SweepSpecification
    ) -> TransferAnalysis? {
        TransferAnalysis(
            members.map { member, points in
                SizedRuns(
                    SizedModel(
                        name: specification.name(of: member), parameters: member.parameterCount),
                    points.filter { $0.batch == batch && $0.rule == TrainedPoint.grid },
                    design: member.specification.designs[comparison])
            }, settings: specification.analysisSettings)
    }

    /// Returns the best rates of a comparison, for a joint fit.
    private static func observations(
        _ transfer: TransferAnalysis, _ members: [SweepMember], batch: Int, comparison: Int
    ) -> [JointRateFit.Observation] {
        transfer.optima.compactMap { optimum in
            guard let best = optimum.optimum.best,
                let member = members.first(where: { $0.parameterCount == optimum.batch })
            else { return nil }
            let own = member.specification
            let context = own.baseRecipe.model.contextLength
            return JointRateFit.Observation(
                parameters: Double(member.parameterCount),
                tokens: own.designs[comparison].tokens(ofBatch: batch, contextLength: context),
                batch: Double(batch), logRate: best.logRate)
        }
    }

    /// The verdicts with their tables as plain text.
    package var text: String {
        var lines = [
            "N counts the parameters outside the embeddings and the head. The regret of a model is "
                + "its loss at the smallest",
            "model's best rate, minus the loss at its own best rate.",
        ]
        for transfer in transfers {
            lines += ["", transfer.sentence] + transfer.analysis.table.lines.map { "  " + $0 }
            lines += transfer.analysis.exponentSentence.map { ["  " + $0] } ?? []
        }
        for (parametrization, fit) in fits {
            lines += ["", "With \(parametrization.title): \(fit.sentence)"]
        }
        return lines.joined(separator: "\n")
    }

    package var json: JSONObject {
        [
            "transfers": .array(
                transfers.map { transfer in
                    var json = transfer.analysis.json
                    json["parametrization"] = .string(transfer.parametrization.rawValue)
                    json["batch"] = .integer(transfer.batch)
                    json["comparison"] = .string(transfer.comparison)
                    return .object(json)
                }),
            "joint_fits": .array(
                fits.map { parametrization, fit in
                    var json = fit.json
                    json["parametrization"] = .string(parametrization.rawValue)
                    return .object(json)
                }),
        ]
    }
}

extension SweepSpecification {
    /// Returns a name for the size of a member's model from the dimensions that vary, such as
    /// "width 64".
    fileprivate func name(of member: SweepMember) -> String {
        guard let size = member.variant?.size else { return "the recipe's" }
        let width = "width \(size.width)"
        let depth = Format.counted(size.layers, "layer")
        if layers.count < 2 { return width }
        return widths.count < 2 ? depth : "\(width), \(depth)"
    }

    /// Returns the name of a comparison, without the marks that differ from model to model.
    fileprivate func comparison(_ place: Int) -> String {
        guard !tokensPerParameter.isEmpty, place < tokensPerParameter.count else {
            return designs[place].name
        }
        let value = tokensPerParameter.reversed()[place]
        return "\(Format.significant(value, digits: 4)) tokens per parameter"
    }
}

extension Design {
    /// Returns the tokens after which runs of a batch are compared.
    fileprivate func tokens(ofBatch batch: Int, contextLength: Int) -> Double {
        switch self {
        case .equalTokens(let tokens): Double(tokens)
        case .equalSteps(let steps): Double(steps * batch * contextLength)
        }
    }
}
