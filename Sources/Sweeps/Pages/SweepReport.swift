import Glibc
import Report
import Support
import Verdicts

extension SweepFolder {
    /// Returns a page about the findings of the sweep so far.
    ///
    /// - Throws: the failures of `findings`.
    package func report() throws(Failure) -> Page {
        let findings = try findings()
        let (specification, analysis) = (findings.specification, findings.analysis)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let caveat = findings.caveat.map { caveat in
            let isPlanned = findings.planNote != nil
            return [
                Page.Section(
                    isPlanned ? "Plan" : "Missing runs",
                    items: [.note(isPlanned ? .information : .warning, caveat)])
            ]
        }
        let size =
            findings.planNote == nil
            ? "\(specification.learningRates.count) rates and \(specification.seeds.count) seeds"
            : "\(findings.results.count) planned runs"
        let confounds =
            findings.warnings.isEmpty
            ? []
            : [
                Page.Section(
                    "Confounds", items: findings.warnings.map { .note(.warning, $0.sentence) })
            ]
        let sections =
            findings.sizes.map { SizeReport($0, specification).sections }
            ?? analysis.designs.map {
                DesignReport($0, analysis: analysis, specification: specification).section
            }
        guard findings.sizes == nil else {
            let models = specification.parametrizations.map(\.rawValue)
            return Page(
                title: "Sweep \(name)",
                subtitle: "Models of several sizes with \(Format.list(models)), \(size) of "
                    + "\(specification.recipePath). Does the best rate of the smallest model suit "
                    + "the larger ones? It transfers to a model if the whole interval of its "
                    + "regret, the loss at this rate minus the loss at the model's best rate, is at "
                    + "most \(Format.significant(analysis.tolerance, digits: 3)) nats.",
                sections: (caveat ?? []) + confounds + sections)
        }
        return Page(
            title: "Sweep \(name)",
            subtitle: "\(specification.batches.count) batches, \(size) "
                + "of \(specification.recipePath). Batches are in sequences; intervals are at "
                + "\(Format.significant(100 * analysis.level, digits: 3)) %. A rule scales the best "
                + "rate of the base batch, \(analysis.baseBatch). It holds at a batch if the whole "
                + "interval of its regret, the loss at its rate minus the loss at the best rate, is "
                + "at most \(Format.significant(analysis.tolerance, digits: 3)) nats.",
            sections: (caveat ?? []) + confounds + sections)
    }
}

/// The section of a page about the findings of a sweep by one design.
struct DesignReport {
    let analysis: DesignAnalysis
    private let baseBatch: Int
    let tolerance: Double
    private let specification: SweepSpecification

    init(
        _ design: DesignAnalysis, analysis: Analysis, specification: SweepSpecification
    ) {
        self.analysis = design
        baseBatch = analysis.baseBatch
        tolerance = analysis.tolerance
        self.specification = specification
    }

    var section: Page.Section {
        Page.Section(
            "By \(analysis.design.name)",
            items: [
                .verdict(verdict), .table(verdictTable), .chart(regretChart), .chart(lossChart),
                .chart(bestRateChart), .table(analysis.optimaTable),
            ] + laws + [.table(analysis.regretTableByBatch)] + verdictNotes
                + collapseCharts.map { .chart($0) }
                + [.chart(heatMap), .table(analysis.sensitivityTable)] + targets)
    }

    private var targets: [Page.Item] {
        guard !analysis.repeatsTargets else {
            return [.note(.information, DesignAnalysis.sameTargets)]
        }
        return analysis.targets.flatMap { target in
            [.chart(targetChart(target)), .table(target.table)]
                + target.sentences.map { .note(.information, $0) }
        }
    }

    // MARK: - Verdicts

    private var verdict: Verdict {
        let holding = analysis.verdicts.contains { $0.reachBeyondBase != nil }
        let failing = analysis.verdicts.allSatisfy { $0.failsFrom != nil && $0.undecided.isEmpty }
        return Verdict(
            holding ? .holds : failing ? .fails : .undecided,
            analysis.sentence.prefix(1).uppercased() + analysis.sentence.dropFirst(),
            text: [analysis.bestGuess, analysis.nextRuns?.sentence, analysis.exponent.sentence]
                .compactMap(\.self).joined(separator: " "))
    }

    private var verdictNotes: [Page.Item] {
        analysis.verdicts.map { .note($0.undecided.isEmpty ? .information : .warning, $0.sentence) }
            + (analysis.trainedElsewhere.map { [.note(.information, $0)] } ?? [])
    }

    /// The table of the laws, and notes on the laws that it lacks.
    private var laws: [Page.Item] {
        (analysis.lawTable.rows.isEmpty ? [] : [.table(analysis.lawTable)])
            + [analysis.lawSentence, analysis.refusedLaws].compactMap {
                $0.map { .note(.information, $0) }
            }
    }

    // MARK: - Charts

    /// The chart of the loss against the rate: the mean over seeds with their range, and the fitted
    /// valleys.
    private var lossChart: LineChart {
        var series: [LineChart.Series] = []
        for (index, optimum) in analysis.optima.enumerated() {
            series.append(
                LineChart.Series(
                    "B = \(optimum.batch)", .points, points: means(of: optimum), color: index))
            let fit = fit(of: optimum)
            guard !fit.isEmpty else { continue }
            series.append(
                LineChart.Series(
                    "B = \(optimum.batch), fit", points: fit, color: index, isListed: false))
        }
        return LineChart(
            title: "Loss against rate",
            sentence:
                "Validation loss: the mean over seeds with their range, and the fitted valley "
                + "around the best rate. Losses far above the valleys are cut off, and rates that "
                + "diverged are left out.",
            x: ChartAxis("learning rate", scale: .log, style: .scientific),
            y: ChartAxis("loss, nats per token", limits: valleyLimits), series: series, height: 340)
    }

    /// The losses of the valleys, with room above them; nil without a valley. Rates far from the
    /// best ones have losses that would make the valleys flat.
    private var valleyLimits: ClosedRange<Double>? {
        let losses = analysis.optima.flatMap { fit(of: $0).map(\.y) }
        guard let least = losses.min(), let most = losses.max(), least < most else { return nil }
        return (least - 0.1 * (most - least))...(most + 0.5 * (most - least))
    }

    func means(of optimum: BatchOptimum) -> [LineChart.Point] {
        let entries = optimum.seeds.flatMap(\.losses.entries)
        let rates = Set(entries.map(\.logRate)).sorted()
        return rates.compactMap { rate in
            let losses = entries.filter { $0.logRate == rate }.map(\.loss)
            guard let least = losses.min(), let most = losses.max(), most.isFinite else {
                return nil
            }
            return LineChart.Point(
                exp(rate), losses.reduce(0, +) / Double(losses.count), interval: least...most)
        }
    }

    private func fit(of optimum: BatchOptimum) -> [LineChart.Point] {
        guard let bounds = optimum.bounds else { return [] }
        return (0...40).compactMap { part in
            let width = bounds.upperBound - bounds.lowerBound
            let logRate = bounds.lowerBound + width * Double(part) / 40
            return optimum.fittedLoss(at: logRate).map { LineChart.Point(exp(logRate), $0) }
        }
    }

    private var bestRateChart: LineChart {
        let found = analysis.optima.compactMap { optimum in
            optimum.optimum.best.map { (optimum.batch, $0) }
        }
        let best = LineChart.Series(
            "best rate", .points,
            points: found.map { batch, best in
                LineChart.Point(
                    Double(batch), best.rate, interval: best.interval.map { $0.lower...$0.upper })
            }, color: 0)
        let base = found.first { $0.0 == baseBatch }?.1.rate
        let rules = specification.rules.filter { !$0.isTrained }.enumerated().map { index, rule in
            LineChart.Series(
                rule.name, .dashed,
                points: specification.batches.compactMap { batch in
                    guard let base,
                        let rate = try? specification.rate(of: rule, batch: batch, base: base)
                    else { return nil }
                    return LineChart.Point(Double(batch), rate)
                }, color: index + 1)
        }
        return LineChart(
            title: "Best rate against batch",
            sentence:
                "The best rate of each batch with its interval over seeds. Dashed lines are the "
                + "rates that the rules predict from the best rate of the base batch.",
            x: ChartAxis(
                "batch, sequences", scale: .log, chosen: specification.batches.map(Double.init)),
            y: ChartAxis("learning rate", scale: .log, style: .scientific),
            series: [best] + (base == nil ? [] : rules), height: 320)
    }

    /// The heat map with a row for each batch and a column for each rate of any grid.
    private var heatMap: HeatMap {
        let logs = analysis.optima.flatMap { $0.seeds.flatMap { $0.losses.entries.map(\.logRate) } }
        let rates = Set(logs).sorted()
        let rows = analysis.optima.reversed().map { optimum in
            rates.map { rate -> HeatMap.Cell in
                let losses = optimum.seeds.flatMap(\.losses.entries)
                    .filter { $0.logRate == rate }.map(\.loss)
                guard !losses.isEmpty else { return .missing }
                let mean = losses.reduce(0, +) / Double(losses.count)
                return mean.isFinite ? .value(mean) : .diverged
            }
        }
        return HeatMap(
            title: "Loss by batch and rate",
            sentence: "The mean over seeds. The best cell is outlined. A cross marks a rate that "
                + "diverged.",
            columns: ("learning rate", rates.map { NumberStyle.scientific.text(exp($0)) }),
            rows: ("batch", analysis.optima.reversed().map { "\($0.batch)" }), cells: rows,
            quantity: ChartAxis("loss"))
    }

    private func targetChart(_ target: TargetLoss) -> LineChart {
        let points = target.costs.compactMap { cost in
            cost.seconds.map { seconds in
                LineChart.Point(
                    Double(cost.batch), seconds.value,
                    interval: seconds.interval.flatMap { interval in
                        interval.lower > 0 ? interval.lower...interval.upper : nil
                    })
            }
        }
        return LineChart(
            title: "Time to a loss of \(Format.fixed(target.loss, decimals: 3))",
            sentence:
                "The time at the tried rate nearest to each batch's best rate, on the ranks that "
                + "trained it.",
            x: ChartAxis(
                "batch, sequences", scale: .log, chosen: specification.batches.map(Double.init)),
            y: ChartAxis("time", style: .duration, fromZero: true),
            series: [LineChart.Series("time", .lineAndPoints, points: points)],
            markers: target.fastestBatch.map {
                [LineChart.Marker(Double($0), "fastest: \($0)")]
            } ?? [])
    }
}
