import Report
import Statistics
import Support

/// What a design says as tables, the same on a page and on a terminal.
extension DesignAnalysis {
    var optimaTable: Table {
        var table = Table(
            caption: "Best rates",
            columns: [
                .init("B"), .init("best rate"), .init("interval"), .init("loss"), .init("seeds"),
                .init("why there is none", .left),
            ])
        for optimum in optima {
            let best = optimum.optimum.best
            table.add(
                .init([
                    "\(optimum.batch)", best.map { rate($0.rate) } ?? "-",
                    best?.interval.map { interval($0, rate) } ?? "-",
                    best.map { Format.fixed($0.loss, decimals: 4) } ?? "-",
                    "\(optimum.seeds.count)", optimum.reason,
                ]))
        }
        return table
    }

    /// Rows are rules, columns batches.
    var regretTable: Table {
        var table = Table(
            caption: "Regrets in nats",
            columns: [.init("rule", .left)] + optima.map { .init("B = \($0.batch)") })
        for verdict in verdicts {
            let cells = optima.map { optimum in
                verdict.regrets.first { $0.batch == optimum.batch }?.cell ?? "-"
            }
            table.add(.init([verdict.name] + cells))
        }
        return table
    }

    /// The regrets with a row for each batch and a column for each rule.
    ///
    /// A page has room for any number of rows, so the largest batch is always visible.
    var regretTableByBatch: Table {
        var table = Table(
            caption: "Regrets in nats", columns: [.init("B")] + verdicts.map { .init($0.name) })
        for (index, optimum) in optima.enumerated() {
            table.add(.init(["\(optimum.batch)"] + regretTable.rows.map { $0.cells[index + 1] }))
        }
        return table
    }

    /// The laws that the batches are enough for, the best one emphasised.
    var lawTable: Table {
        var table = Table(
            caption: "Laws of the best rate, by Akaike's corrected criterion",
            columns: [
                .init("law", .left), .init("AICc"), .init("delta"), .init("weight"),
                .init("parameters", .left),
            ])
        for model in models.models where model.criterion != nil {
            let parameters = model.parameters.map {
                "\($0.name) " + estimate($0.estimate) { Format.significant($0, digits: 3) }
            }
            let outside = model.noiseScaleOutside.map { " (\($0.rawValue) all batches)" } ?? ""
            table.add(
                .init(
                    [
                        model.law.rawValue, number(model.criterion, decimals: 2),
                        number(model.delta, decimals: 2), number(model.weight, decimals: 3),
                        parameters.joined(separator: ", ") + outside,
                    ], isEmphasized: model.law == models.best?.law))
        }
        return table
    }

    /// Which law the best rates follow, in a sentence; nil where none could be judged.
    package var lawSentence: String? {
        guard let best = models.best else { return nil }
        let rivals = models.rivals(of: best, exponent: exponent.exponent)
        guard !rivals.isEmpty || models.refused.contains(.power) else {
            return "Of these laws \(best.law.rawValue) fits best (weight "
                + "\(number(best.weight, decimals: 2)))."
        }
        let names = ([best] + rivals).map(\.law.rawValue)
        let open =
            names.count > 1
            ? "Which law they follow is undecided between \(Format.list(names))"
            : "Whether they follow \(names[0]) is undecided"
        let missing = max(1, ModelComparison.fewestBatches - models.batches.count)
        return open + "; to decide, run \(DecidingRuns.batches(missing).phrase)."
    }

    /// The laws that the batches are too few for, in a sentence; nil where there are none.
    var refusedLaws: String? {
        guard !models.refused.isEmpty else { return nil }
        return "Not enough batches with a best rate (\(models.batches.count)) for: "
            + "\(Format.list(models.refused.map(\.rawValue)))."
    }

    var sensitivityTable: Table {
        var table = Table(
            caption: "Sensitivity to the rate: mean loss above the best, over the grid",
            columns: [.init("B"), .init("nats"), .init("interval"), .init("rates")])
        for sensitivity in sensitivities {
            table.add(
                .init([
                    "\(sensitivity.batch)", loss(sensitivity.value.value),
                    sensitivity.value.interval.map { interval($0, loss) } ?? "-",
                    "\(rate(sensitivity.lowestRate)) to \(rate(sensitivity.highestRate))",
                ]))
        }
        return table
    }
}

extension TargetLoss {
    /// The fastest batch emphasised.
    var table: Table {
        var table = Table(
            caption: "To a loss of \(Format.fixed(loss, decimals: 4))",
            columns: [.init("B"), .init("rate"), .init("steps"), .init("tokens"), .init("time")])
        for cost in costs {
            table.add(
                .init(
                    [
                        "\(cost.batch)", rate(cost.rate),
                        cost.steps.map { cost.cell($0, NumberStyle.count.text) } ?? "not reached",
                        cost.tokens.map { cost.cell($0, NumberStyle.count.text) } ?? "-",
                        cost.seconds.map { cost.cell($0, NumberStyle.duration.text) } ?? "-",
                    ], isEmphasized: cost.batch == fastestBatch))
        }
        return table
    }

    /// What the table says of the batch to choose.
    package var sentences: [String] {
        var fastest = fastestSentence.map { [$0] } ?? []
        let early = costs.filter(\.isUpperBound).map { "\($0.batch)" }
        if !early.isEmpty {
            fastest.append(
                "By B = \(Format.list(early)) it is reached before the first evaluation, which is no "
                    + "measurement: evaluate more often, or choose a lower loss.")
        }
        guard let critical = criticalBatch else {
            return fastest
                + [
                    "Fewer than three batches reach it in steps that are measured: no critical batch."
                ]
        }
        if let side = critical.outside {
            return fastest + ["The critical batch lies \(side.rawValue) all of these batches."]
        }
        if let interval = critical.sequences.interval,
            interval.upper > Self.widestInterval * interval.lower
        {
            return fastest + [
                "The critical batch is undetermined: it may lie anywhere from "
                    + "\(NumberStyle.count.text(interval.lower)) to "
                    + "\(NumberStyle.count.text(interval.upper)) sequences; to decide, run more seeds, or "
                    + "batches further apart."
            ]
        }
        return fastest + [
            "Critical batch (McCandlish 2018, Emin / Smin): "
                + "\(estimate(critical.sequences, NumberStyle.count.text)) sequences, "
                + "\(estimate(critical.tokens, NumberStyle.count.text)) tokens.",
            "Batch that costs 20 % more tokens (Zhang 2024, a fifth of it): "
                + "\(estimate(critical.twentyPercentSequences, NumberStyle.count.text)) sequences.",
        ]
    }
}

extension TargetLoss {
    /// The factor between an interval's ends above which it says nothing.
    private static let widestInterval = 100.0

    /// Which batch takes the least time, and which might as well; nil where none is known to.
    private var fastestSentence: String? {
        guard let fastest = costs.first(where: { $0.batch == fastestBatch }),
            let time = fastest.seconds
        else { return nil }
        let highest = time.interval?.upper ?? time.value
        let rivals = costs.filter { cost in
            guard let other = cost.seconds, cost.batch != fastest.batch else { return false }
            return other.interval?.lower ?? other.value <= highest
        }
        return "The least time is at B = \(fastest.batch)"
            + (rivals.isEmpty
                ? "."
                : "; by the intervals it may as well be at "
                    + "\(Format.list(rivals.map { "\($0.batch)" })).")
    }
}

extension BatchCost {
    fileprivate func cell(_ value: Estimate, _ text: (Double) -> String) -> String {
        isUpperBound ? "<= \(text(value.value))" : estimate(value, text)
    }
}

extension Table {
    /// For a terminal; columns that are set from the left come first.
    var lines: [String] {
        var table = TextTable(
            columns.map(\.title), leftColumns: columns.prefix { $0.alignment == .left }.count)
        for row in rows { table.add(row.cells) }
        return table.lines
    }
}

extension BatchOptimum {
    /// Why there is no best rate; empty where there is one.
    fileprivate var reason: String {
        switch optimum {
        case .found: ""
        case _ where unfinished != nil: "runs are missing"
        case .unbracketed(.above) where grid.divergingRate != nil: "best beside one that diverges"
        case .unbracketed(let side): "best \(side.rawValue) the grid"
        case .flat: "hidden by noise"
        case .coarse: "grid too coarse"
        case .insufficient: "too few rates"
        }
    }
}

extension Regret {
    /// How far an interval reaches from the value: "±" where that is as far to both sides.
    private func range(_ interval: Interval) -> String {
        intervalOfSeeds == nil
            ? " ±\(loss(interval.width / 2))"
            : " (\(loss(interval.lower)) to \(loss(interval.upper)))"
    }

    fileprivate var cell: String {
        let bound = isLowerBound ? ">= " : ""
        switch outcome {
        case .measured(let estimate, _):
            return bound + loss(estimate.value) + (estimate.interval.map(range) ?? "")
        case .diverged: return "diverges"
        case .belowDivergence: return "below divergence"
        case .outsideGrid(let side): return "\(side.rawValue) the grid"
        case .unavailable: return "-"
        }
    }
}

private func rate(_ value: Double) -> String { NumberStyle.scientific.text(value) }

private func loss(_ value: Double) -> String { Format.fixed(value, decimals: 4) }

private func interval(_ interval: Interval, _ text: (Double) -> String) -> String {
    "\(text(interval.lower)) to \(text(interval.upper))"
}

private func estimate(_ estimate: Estimate, _ text: (Double) -> String) -> String {
    text(estimate.value) + (estimate.interval.map { " (\(interval($0, text)))" } ?? "")
}

private func number(_ value: Double?, decimals: Int) -> String {
    value.map { Format.fixed($0, decimals: decimals) } ?? "-"
}
