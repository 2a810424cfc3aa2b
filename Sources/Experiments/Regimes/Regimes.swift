import Support

/// Three runs of one model at three rates, the search for these rates, the sharpness along the
/// runs, and the losses on the plane that their paths span.
package struct Regimes: Sendable {
    package let recipeName: String
    package let parameterCount: Int
    package let tokensPerStep: Int
    package let sequences: Int
    package let targets: Int
    /// The search that found the rates; nil if they were given.
    package let search: RateSearch?
    /// The bound of the sharpness times the rate.
    package let stableProduct: Double
    /// Whether the rule divides its steps by a preconditioner.
    package let isPreconditioned: Bool
    /// The number of training targets of each sharpness.
    package let sharpnessTargets: Int
    /// The runs in ascending order of their rates.
    package let curves: [RegimeCurve]
    /// The fraction of the squared distances from the start along each direction, with equal weight
    /// for every run.
    package let explained: [Double]
    /// The losses around all three paths.
    package let whole: LossSurface
    /// The losses around the path at the good rate.
    package let close: LossSurface

    /// The run with the lowest final loss; nil if no loss is finite.
    private var best: RegimeCurve? { curves.filter(\.end.isFinite).min { $0.end < $1.end } }

    /// A sentence for each run.
    package var sentences: [String] {
        let remedy =
            search == nil
            ? "give other --rates"
            : "the short runs did not show this, which more --probe-steps may"
        return curves.map { $0.sentence(best: best, remedy: remedy) }
    }

    /// The reasons for the three rates, in sentences.
    package var choice: [String] {
        guard let search, let good = search.goodProbe, let small = search.probe(beyond: -1),
            let large = search.probe(beyond: 1)
        else { return ["The rates were given by --rates."] }
        func reason(_ regime: Regime, _ probe: RateProbe) -> String {
            let words = regime == .small ? ("lower", "lowest") : ("higher", "highest")
            let fall = "by \(Format.significant(probe.fall, digits: 3))"
            let place =
                if let end = probe.divergence {
                    "nearest \(words.0) one at which the loss \(end)"
                } else if 2 * probe.fall > good.fall {
                    "\(words.1) one that was tried, at which the loss still falls \(fall)"
                } else {
                    "nearest \(words.0) one at which the loss falls at most half as far, \(fall)"
                }
            return "The rate that is \(regime.rawValue) is the \(place)."
        }
        return [
            "The rates come from \(search.probes.count) runs of \(Format.count(search.probeSteps)) "
                + "steps from the same start on the same batches.",
            "The search began at the recipe's rate and went up and down by factors of four, then of "
                + "two.",
            goodReason(search, good),
            reason(.small, small), reason(.large, large),
        ]
    }

    private func goodReason(_ search: RateSearch, _ good: RateProbe) -> String {
        let fall = "by \(Format.significant(good.fall, digits: 3)) nats"
        if good == search.bestProbe {
            return "The good rate is the one at which the loss falls farthest, \(fall)."
        }
        return good == search.startProbe
            ? "The good rate is the recipe's, at which the loss falls \(fall); the lowest loss is too "
                + "close to tell apart."
            : "The good rate is the lowest of those whose losses are too close to the least to tell "
                + "apart; there the loss falls \(fall)."
    }

    /// A row for each step of each run as comma-separated values. The rows of snapshots also have
    /// their loss and position.
    package var table: String {
        var lines = [
            "regime,learning_rate,step,tokens,loss,validation_loss,x,y,distance,sharpness,"
                + "stable_sharpness"
        ]
        for curve in curves {
            let snapshots = Dictionary(uniqueKeysWithValues: curve.snapshots.map { ($0.step, $0) })
            // The field of a value that is not finite is empty.
            let field = { (number: Double) in number.isFinite ? "\(number)" : "" }
            for step in 0...curve.losses.count {
                // The loss of a step is that of the parameters before the step.
                let loss = step < curve.losses.count ? field(curve.losses[step]) : ""
                let place = snapshots[step].map { snapshot in
                    [
                        snapshot.validationLoss, snapshot.x, snapshot.y, snapshot.distance,
                        snapshot.sharpness?.value ?? .nan, snapshot.sharpness?.stable ?? .nan,
                    ].map(field).joined(separator: ",")
                }
                lines.append(
                    "\(curve.regime.rawValue),\(curve.learningRate),\(step),"
                        + "\(step * tokensPerStep),\(loss),\(place ?? ",,,,,")")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package var json: JSONObject {
        let sentences = sentences
        let runs = curves.enumerated().map { index, curve -> JSONValue in
            let snapshots = curve.snapshots.map { snapshot -> JSONValue in
                [
                    "step": .integer(snapshot.step),
                    "validation_loss": .number(snapshot.validationLoss),
                    "x": .number(snapshot.x), "y": .number(snapshot.y),
                    "distance": .number(snapshot.distance),
                    "sharpness": snapshot.sharpness.map { .number($0.value) } ?? .null,
                    "stable_sharpness": snapshot.sharpness.map { .number($0.stable) } ?? .null,
                ]
            }
            return [
                "regime": .string(curve.regime.rawValue),
                "learning_rate": .number(curve.learningRate),
                "diverged": .bool(curve.hasDiverged), "steps": .integer(curve.losses.count),
                "clipped_steps": .integer(curve.clippedSteps),
                "finding": .string(sentences[index]), "snapshots": .array(snapshots),
            ]
        }
        return [
            "recipe": .string(recipeName), "parameters": .integer(parameterCount),
            "tokens_per_step": .integer(tokensPerStep), "sequences": .integer(sequences),
            "targets": .integer(targets), "runs": .array(runs),
            "probe_steps": search.map { .integer($0.probeSteps) } ?? .null,
            "probes": .array((search?.probes ?? []).map { .object($0.json) }),
            "choice": .array(choice.map(JSONValue.string)),
            "stable_product": .number(stableProduct),
            "is_preconditioned": .bool(isPreconditioned),
            "sharpness_targets": .integer(sharpnessTargets),
            "explained": .array(explained.map(JSONValue.number)),
            "whole": .object(whole.json), "close": .object(close.json),
        ]
    }
}
