import Glibc
import Report
import Support

extension SweepFolder {
    /// Returns a page about the findings of the sweep so far.
    ///
    /// - Throws: the failures of `findings`.
    package func report() throws(Failure) -> Page {
        let findings = try findings()
        let (specification, analysis) = (findings.specification, findings.analysis)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let caveat = findings.caveat.map {
            [Page.Section("Missing runs", items: [.note(.warning, $0)])]
        }
        let sections = analysis.designs.map {
            DesignReport($0, analysis: analysis, specification: specification).section
        }
        return Page(
            title: "Sweep \(name)",
            subtitle: "\(specification.batches.count) batches, "
                + "\(specification.learningRates.count) rates and \(specification.seeds.count) seeds "
                + "of \(specification.recipePath). Batches are in sequences; intervals are at "
                + "\(Format.significant(100 * analysis.level, digits: 3)) %. A rule scales each "
                + "seed's best rate at batch \(analysis.baseBatch), and holds while its regret, the "
                + "loss above the best rate's, is at most "
                + "\(Format.significant(analysis.tolerance, digits: 3)) nats.",
            sections: (caveat ?? []) + sections)
    }
}

/// The section of a page about the findings of a sweep by one design.
struct DesignReport {
    private let analysis: DesignAnalysis
    private let baseBatch: Int
    private let tolerance: Double
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
                .verdict(verdict), .chart(lossChart), .chart(bestRateChart),
                .table(analysis.optimaTable),
            ] + laws + [.table(analysis.regretTableByBatch)] + verdictNotes + [
                .chart(heatMap), .table(analysis.sensitivityTable),
            ]
                + targets)
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
            text: analysis.exponent.sentence)
    }

    private var verdictNotes: [Page.Item] {
        analysis.verdicts.map { .note($0.undecided.isEmpty ? .information : .warning, $0.sentence) }
            + (analysis.trainedElsewhere.map { [.note(.information, $0)] } ?? [])
    }

    /// The table of the laws, and notes on the laws that it lacks.
    private var laws: [Page.Item] {
        [.table(analysis.lawTable)]
            + [analysis.lawSentence, analysis.refusedLaws].compactMap {
                $0.map { .note(.information, $0) }
            }
    }

    // MARK: - Charts

    /// The chart of the loss against the rate: the mean over seeds with their range, and the mean
    /// of the fitted parabolas.
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
                "Validation loss: the mean over seeds with their range, and the fitted parabola "
                + "in ln(rate) around the best rate. Rates that diverged are left out.",
            x: ChartAxis("learning rate", scale: .log, style: .scientific),
            y: ChartAxis("loss, nats per token"), series: series, height: 340)
    }

    private func means(of optimum: BatchOptimum) -> [LineChart.Point] {
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
        let fits = optimum.seeds.compactMap { seed in
            seed.parabola.flatMap { parabola in seed.bounds.map { (parabola, $0) } }
        }
        guard fits.count == optimum.seeds.count, let first = fits.first else { return [] }
        let lower = fits.map(\.1.lowerBound).max() ?? first.1.lowerBound
        let upper = fits.map(\.1.upperBound).min() ?? first.1.upperBound
        guard lower < upper else { return [] }
        return (0...40).map { part in
            let x = lower + (upper - lower) * Double(part) / 40
            return LineChart.Point(
                exp(x), fits.reduce(0) { $0 + $1.0(x) } / Double(fits.count))
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
