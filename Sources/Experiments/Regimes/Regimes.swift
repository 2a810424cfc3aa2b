import Support

/// Three runs of one model at three rates, and the losses on the plane that their paths span.
package struct Regimes: Sendable {
    package let recipeName: String
    package let parameterCount: Int
    package let tokensPerStep: Int
    package let sequences: Int
    package let targets: Int
    /// The runs, by rising rate.
    package let curves: [RegimeCurve]
    /// The fraction of the squared distances from the start along each direction, with equal weight
    /// for every run.
    package let explained: [Double]
    /// The losses around all three paths.
    package let whole: LossSurface
    /// The losses around the path at the good rate.
    package let close: LossSurface

    /// The lowest final loss; not a number if none is finite.
    package var best: Double { curves.map(\.end).filter(\.isFinite).min() ?? .nan }

    /// A sentence for each run.
    package var sentences: [String] { curves.map { $0.sentence(best: best) } }

    /// A row for each step of each run as comma-separated values. The rows of snapshots also have
    /// their loss and position.
    package var table: String {
        var lines = ["regime,learning_rate,step,tokens,loss,validation_loss,x,y,distance"]
        for curve in curves {
            let snapshots = Dictionary(uniqueKeysWithValues: curve.snapshots.map { ($0.step, $0) })
            // The field of a value that is not finite is empty.
            let field = { (number: Double) in number.isFinite ? "\(number)" : "" }
            for step in 0...curve.losses.count {
                // The loss of a step is that of the parameters before the step.
                let loss = step < curve.losses.count ? field(curve.losses[step]) : ""
                let place = snapshots[step].map {
                    [$0.validationLoss, $0.x, $0.y, $0.distance].map(field).joined(separator: ",")
                }
                lines.append(
                    "\(curve.regime.rawValue),\(curve.learningRate),\(step),"
                        + "\(step * tokensPerStep),\(loss),\(place ?? ",,,")")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package var json: JSONObject {
        let best = best
        let runs = curves.map { curve -> JSONValue in
            let snapshots = curve.snapshots.map { snapshot -> JSONValue in
                [
                    "step": .integer(snapshot.step),
                    "validation_loss": .number(snapshot.validationLoss),
                    "x": .number(snapshot.x), "y": .number(snapshot.y),
                    "distance": .number(snapshot.distance),
                ]
            }
            return [
                "regime": .string(curve.regime.rawValue),
                "learning_rate": .number(curve.learningRate),
                "diverged": .bool(curve.hasDiverged), "steps": .integer(curve.losses.count),
                "finding": .string(curve.sentence(best: best)), "snapshots": .array(snapshots),
            ]
        }
        return [
            "recipe": .string(recipeName), "parameters": .integer(parameterCount),
            "tokens_per_step": .integer(tokensPerStep), "sequences": .integer(sequences),
            "targets": .integer(targets), "runs": .array(runs),
            "explained": .array(explained.map(JSONValue.number)),
            "whole": .object(whole.json), "close": .object(close.json),
        ]
    }
}
