import Report
import Statistics
import Support

/// The tables of a design, which are the same on a page and on a terminal.
extension DesignAnalysis {
    /// The best rates, with a column for the reasons only if one is unknown.
    package var optimaTable: Table {
        let hasUnknown = optima.contains { $0.optimum.best == nil }
        var table = Table(
            caption: "Best rates",
            columns: [
                .init("B"), .init("best rate"), .init("interval"), .init("loss"), .init("seeds"),
            ] + (hasUnknown ? [.init("why it is unknown", .left)] : []))
        for optimum in optima {
            let best = optimum.optimum.best
            table.add(
                .init(
                    [
                        "\(optimum.batch)", best.map { rate($0.rate) } ?? "-",
                        best?.interval.map { interval($0, rate) } ?? "-",
                        best.map { Format.fixed($0.loss, decimals: 4) } ?? "-",
                        "\(optimum.seeds.count)",
                    ] + (hasUnknown ? [optimum.reason] : [])))
        }
        return table
    }

    /// The regrets with a row for each rule and a column for each batch.
    var regretTable: Table { regretTable("Regrets in nats", verdicts) }

    /// The regrets with each rule's constant fitted to all batches.
    var fittedRegretTable: Table {
        regretTable(
            "Regrets in nats, with each rule's constant fitted to all batches", fittedVerdicts)
    }

    private func regretTable(_ caption: String, _ verdicts: [RuleVerdict]) -> Table {
        var table = Table(
            caption: caption,
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
    package var regretTableByBatch: Table {
        var table = Table(
            caption: "Regrets in nats", columns: [.init("B")] + verdicts.map { .init($0.name) })
        for (index, optimum) in optima.enumerated() {
            table.add(.init(["\(optimum.batch)"] + regretTable.rows.map { $0.cells[index + 1] }))
        }
        return table
    }

    /// The laws that the batches suffice to judge, with the best one emphasized.
    package var lawTable: Table {
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
            let outside =
                model.noiseScaleOutside.map { " (Bn is \($0.rawValue) all batches)" } ?? ""
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

    /// A sentence about the law that the best rates follow, or nil if no law could be judged.
    package var lawSentence: String? {
        guard let best = models.best else {
            return models.isRefuted ? "None of these laws fits the best rates." : nil
        }
        let rivals = models.rivals(of: best, exponent: exponent.exponent)
        guard !rivals.isEmpty || models.refused.contains(.power) else {
            return "Of these laws, \(best.law.rawValue) fits best (weight "
                + "\(number(best.weight, decimals: 2)))."
        }
        let names = ([best] + rivals).map(\.law.rawValue)
        let open =
            names.count > 1
            ? "The law of the best rates is undecided between \(Format.list(names))"
            : "The best rates may follow \(names[0]), but this is undecided"
        let missing = max(1, ModelComparison.fewestBatches - models.batches.count)
        let more = "train at least \(Format.counted(missing, "more batch", "more batches"))."
        // The free power is too costly to be judged by the criterion, but it excludes the law.
        guard !best.law.isExcluded(by: exponent.exponent) || names.count > 1 else {
            return "Of these laws, \(names[0]) is the nearest, but the exponent's interval "
                + "excludes it; \(more)"
        }
        return "\(open); \(more)"
    }

    /// A sentence about the laws for which the batches are too few, or nil if there are none.
    package var refusedLaws: String? {
        guard !models.refused.isEmpty else { return nil }
        let count = models.batches.count
        return "\(Format.counted(count, "batch", "batches")) with a best rate "
            + "\(count == 1 ? "is" : "are") too few to judge these laws: "
            + "\(Format.list(models.refused.map(\.rawValue)))."
    }

    package var sensitivityTable: Table {
        var table = Table(
            caption: "Sensitivity to the rate: the mean loss over the grid minus the least loss",
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
    /// The costs with a row for each batch. The fastest batch is emphasized.
    package var table: Table {
        var table = Table(
            caption: "Steps, tokens and time to a loss of \(Format.fixed(loss, decimals: 4))",
            columns: [
                .init("B"), .init("rate"), .init("steps"), .init("tokens"), .init("time"),
            ] + (hasNoiseScale ? [.init("noise scale")] : []))
        for cost in costs {
            table.add(
                .init(
                    [
                        "\(cost.batch)", rate(cost.rate),
                        cost.steps.map { cost.cell($0, NumberStyle.count.text) } ?? "not reached",
                        cost.tokens.map { cost.cell($0, NumberStyle.count.text) } ?? "-",
                        cost.seconds.map { cost.cell($0, NumberStyle.duration.text) } ?? "-",
                    ]
                        + (hasNoiseScale
                            ? [cost.noiseScale.map(NumberStyle.count.text) ?? "-"] : []),
                    isEmphasized: cost.batch == fastestBatch))
        }
        return table
    }

    /// The sentences about the fastest batch and the critical batch.
    package var sentences: [String] {
        var fastest = fastestSentence.map { [$0] } ?? []
        let early = costs.filter(\.isUpperBound).map { "\($0.batch)" }
        if !early.isEmpty {
            fastest.append(
                "The first evaluation at B = \(Format.list(early)) already reaches this loss, so "
                    + "its cost there is only an upper bound; evaluate more often, or choose a "
                    + "lower loss.")
        }
        guard let critical = criticalBatch else {
            return fastest
                + [
                    "The critical batch is unknown, because fewer than three batches reach this "
                        + "loss after their first evaluation."
                ]
        }
        if let side = critical.outside {
            let comparison = side == .above ? "larger" : "smaller"
            return fastest + ["The critical batch is \(comparison) than all of these batches."]
        }
        if let interval = critical.undeterminedInterval {
            return fastest + [
                "The critical batch is undetermined, because its interval extends from "
                    + "\(NumberStyle.count.text(interval.lower)) to "
                    + "\(NumberStyle.count.text(interval.upper)) sequences; train more seeds, or "
                    + "batches that are further apart."
            ]
        }
        return fastest + [
            "The critical batch (Emin / Smin of McCandlish et al. 2018), which takes twice the "
                + "least tokens, is "
                + "\(estimate(critical.sequences, NumberStyle.count.text)) sequences, or "
                + "\(estimate(critical.tokens, NumberStyle.count.text)) tokens.",
            "The batch that takes 20 % more than the least tokens (Zhang et al. 2024) is "
                + "\(estimate(critical.twentyPercentSequences, NumberStyle.count.text)) sequences.",
        ] + (noiseScaleSentence.map { [$0] } ?? [])
    }

    private var hasNoiseScale: Bool { costs.contains { $0.noiseScale != nil } }

    /// A sentence that compares the critical batch with the measured noise scales; nil if there are
    /// none.
    private var noiseScaleSentence: String? {
        let scales = costs.compactMap(\.noiseScale)
        guard let least = scales.min(), let greatest = scales.max() else { return nil }
        let range =
            scales.count == 1
            ? "is \(NumberStyle.count.text(least))"
            : "ranges from \(NumberStyle.count.text(least)) to \(NumberStyle.count.text(greatest))"
        return "The gradient noise scale, which predicts the critical batch, \(range) sequences at "
            + "the end of the runs."
    }
}

extension TargetLoss {
    /// A sentence about the batch that takes the least time and those that may take no longer; nil
    /// if the fastest batch is unknown.
    private var fastestSentence: String? {
        guard let fastest = costs.first(where: { $0.batch == fastestBatch }),
            let time = fastest.seconds
        else { return nil }
        let highest = time.interval?.upper ?? time.value
        let rivals = costs.filter { cost in
            guard let other = cost.seconds, cost.batch != fastest.batch else { return false }
            return other.interval?.lower ?? other.value <= highest
        }
        return "B = \(fastest.batch) reaches this loss in the least time"
            + (rivals.isEmpty
                ? "."
                : ", but by the intervals B = "
                    + "\(Format.list(rivals.map { "\($0.batch)" })) may be as fast.")
    }
}

extension BatchCost {
    fileprivate func cell(_ value: Estimate, _ text: (Double) -> String) -> String {
        isUpperBound ? "<= \(text(value.value))" : estimate(value, text)
    }
}

extension Table {
    /// The table as lines for a terminal. Columns are aligned to the left up to the first one that
    /// is not.
    package var lines: [String] {
        var table = TextTable(
            columns.map(\.title), leftColumns: columns.prefix { $0.alignment == .left }.count)
        for row in rows { table.add(row.cells) }
        return table.lines
    }
}

extension BatchOptimum {
    /// The reason why there is no best rate; empty if there is one.
    var reason: String {
        switch optimum {
        case .found: ""
        case _ where unfinished != nil: "runs are missing"
        case .unbracketed(.above) where grid.divergingRate != nil: "next to a rate that diverges"
        case .unbracketed(let side): "\(side.rawValue) the grid"
        case .flat: "hidden by noise"
        case .misfit: "no valley fits its losses"
        case .insufficient where grid.rates.isEmpty && grid.divergingRate != nil:
            "every rate diverges"
        case .insufficient: "too few rates"
        }
    }
}

extension Regret {
    private func range(_ interval: Interval) -> String {
        " (\(loss(interval.lower)) to \(loss(interval.upper)))"
    }

    fileprivate var cell: String {
        let bound = isLowerBound ? ">= " : ""
        switch outcome {
        case .measured(let estimate):
            let least = lower.flatMap { $0 > 0 ? " (>= \(loss($0)))" : nil } ?? ""
            return bound + loss(estimate.value) + (estimate.interval.map(range) ?? least)
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
