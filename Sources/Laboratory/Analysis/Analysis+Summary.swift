import Statistics
import Telemetry

extension Analysis {
    /// Everything in plain text, with tables as wide as their cells, for a terminal.
    package var summary: String {
        let percent = Format.significant(100 * level, digits: 3)
        let head = [
            "Intervals are at \(percent) %. Rules scale each seed's best rate at the base batch "
                + "B = \(baseBatch); a rule holds while its",
            "regret, the loss above the best rate's, is at most "
                + "\(Format.significant(tolerance, digits: 3)) nats. B is in sequences.",
        ]
        return (head + designs.flatMap { [""] + $0.summary }).joined(separator: "\n")
    }
}

extension DesignAnalysis {
    /// Lines.
    fileprivate var summary: [String] {
        var lines = ["By \(design.name): \(sentence)"]
        lines += section("Best rates", optimaTable) + ["  " + exponent.sentence]
        lines += section("Regrets in nats", regretTable) + verdicts.map { "  " + $0.sentence }
        lines += section("Laws of the best rate", modelTable)
        if !models.refused.isEmpty {
            let names = models.refused.map(\.rawValue)
            lines.append(
                "  Not enough batches (\(models.batches.count)) for: \(listed(names)).")
        }
        lines += section("Sensitivity to the rate", sensitivityTable)
        for target in targets {
            let loss = Format.fixed(target.loss, decimals: 4)
            lines += section("To a loss of \(loss)", target.table) + target.sentences
        }
        return lines
    }

    private func section(_ title: String, _ table: TextTable) -> [String] {
        ["", title] + table.lines.map { "  " + $0 }
    }

    private var optimaTable: TextTable {
        var table = TextTable(["B", "best rate", "interval", "loss", "seeds", ""], leftColumns: 0)
        for optimum in optima {
            let best = optimum.optimum.best
            table.add([
                String(optimum.batch), best.map { rate($0.rate) } ?? "-",
                best?.interval.map(interval) ?? "-",
                best.map { Format.fixed($0.loss, decimals: 4) } ?? "-",
                String(optimum.seeds.count), optimum.optimum.note,
            ])
        }
        return table
    }

    private var regretTable: TextTable {
        let batches = optima.map(\.batch)
        var table = TextTable(["rule"] + batches.map { "B = \($0)" }, leftColumns: 1)
        for verdict in verdicts {
            table.add(
                [verdict.name]
                    + batches.map { batch in
                        verdict.regrets.first { $0.batch == batch }?.cell ?? "-"
                    })
        }
        return table
    }

    private var modelTable: TextTable {
        var table = TextTable(["law", "AICc", "delta", "weight", "parameters"], leftColumns: 1)
        for model in models.models where model.criterion != nil {
            let parameters = model.parameters.map { parameter in
                "\(parameter.name) " + estimate(parameter.estimate)
            }
            let outside = model.noiseScaleOutside.map { " (\($0.rawValue) all batches)" } ?? ""
            table.add([
                model.law.rawValue, number(model.criterion, decimals: 2),
                number(model.delta, decimals: 2), number(model.weight, decimals: 3),
                parameters.joined(separator: ", ") + outside,
            ])
        }
        return table
    }

    private var sensitivityTable: TextTable {
        var table = TextTable(["B", "nats", "interval", "rates"], leftColumns: 0)
        for sensitivity in sensitivities {
            table.add([
                String(sensitivity.batch), Format.fixed(sensitivity.value.value, decimals: 4),
                sensitivity.value.interval.map(interval) ?? "-",
                "\(rate(sensitivity.lowestRate)) to \(rate(sensitivity.highestRate))",
            ])
        }
        return table
    }
}

extension TargetLoss {
    fileprivate var table: TextTable {
        var table = TextTable(["B", "rate", "steps", "tokens", "seconds"], leftColumns: 0)
        for cost in costs {
            table.add([
                String(cost.batch), rate(cost.rate), cost.steps.map(estimate) ?? "not reached",
                cost.tokens.map(estimate) ?? "-", cost.seconds.map(estimate) ?? "-",
            ])
        }
        return table
    }

    var sentences: [String] {
        var sentences: [String] = []
        if let fastestBatch { sentences.append("  The least time is at B = \(fastestBatch).") }
        guard let critical = criticalBatch else {
            return sentences + ["  Fewer than three batches reach it: no critical batch."]
        }
        if let side = critical.outside {
            return sentences + ["  The critical batch lies \(side.rawValue) all of these batches."]
        }
        return sentences + [
            "  Critical batch (McCandlish 2018, Emin / Smin): \(estimate(critical.sequences)) "
                + "sequences, \(estimate(critical.tokens)) tokens.",
            "  Batch that costs 20 % more tokens (Zhang 2024, a fifth of it): "
                + "\(estimate(critical.twentyPercentSequences)) sequences.",
        ]
    }
}

extension RateOptimum {
    /// Why there is no best rate.
    fileprivate var note: String {
        switch self {
        case .found: ""
        case .unbracketed(let side): "best \(side.rawValue) the grid"
        case .flat: "flat"
        case .insufficient: "too few rates"
        }
    }
}

extension Regret {
    fileprivate var cell: String {
        let bound = isLowerBound ? ">= " : ""
        switch outcome {
        case .measured(let estimate, _):
            let half = estimate.interval.map { Format.fixed($0.width / 2, decimals: 4) }
            let value = bound + Format.fixed(estimate.value, decimals: 4)
            return half.map { "\(value) ±\($0)" } ?? value
        case .diverged: return "diverges"
        case .outsideGrid(let side): return "\(side.rawValue) grid"
        case .unavailable: return "-"
        }
    }
}

private func rate(_ value: Double) -> String { Format.scientific(value, digits: 3) }

private func interval(_ interval: Interval) -> String {
    "\(Format.significant(interval.lower, digits: 3)) to "
        + Format.significant(interval.upper, digits: 3)
}

private func estimate(_ estimate: Estimate) -> String {
    let value = Format.significant(estimate.value, digits: 3)
    return estimate.interval.map { "\(value) (\(interval($0)))" } ?? value
}

private func number(_ value: Double?, decimals: Int) -> String {
    value.map { Format.fixed($0, decimals: decimals) } ?? "-"
}
