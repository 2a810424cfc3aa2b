import Glibc
import Report
import Support
import Verdicts

/// The charts that compare the rules.
extension DesignReport {
    /// The regret that the charts still show, in tolerances.
    private static let visibleTolerances = 6.0

    private var greatestRegret: Double { Self.visibleTolerances * tolerance }

    private func batchAxis() -> ChartAxis {
        ChartAxis("batch, sequences", scale: .log, chosen: analysis.optima.map { Double($0.batch) })
    }

    /// The chart of the regret against the batch, with a line for each rule and one for the
    /// tolerance.
    var regretChart: LineChart {
        var series = judged.enumerated().map { index, verdict in
            LineChart.Series(
                verdict.name, .lineAndPoints,
                points: verdict.judgedRegrets.compactMap { regret in
                    guard case .measured(let estimate) = regret.outcome else { return nil }
                    let visible = { (value: Double) in min(max(value, 0), greatestRegret) }
                    // A point without an interval would interrupt the band.
                    let ends = estimate.interval.map { ($0.lower, $0.upper) }
                    let (lower, upper) = ends ?? (estimate.value, estimate.value)
                    return LineChart.Point(
                        Double(regret.batch), visible(estimate.value),
                        interval: visible(lower)...visible(upper))
                }, color: index + 1)
        }
        let ends = [analysis.optima.first, analysis.optima.last].compactMap(\.self)
        series.append(
            LineChart.Series(
                "tolerance", .dashed,
                points: ends.map { LineChart.Point(Double($0.batch), tolerance) }, color: 0))
        return LineChart(
            title: "Regret against batch",
            sentence: "The cost of each rule in nats, with its interval. A rule holds if its "
                + "interval is below the tolerance. Greater costs are drawn at the top.",
            x: batchAxis(), y: ChartAxis("regret, nats per token", limits: 0...greatestRegret),
            series: series, height: 300)
    }

    /// The charts of the loss above each batch's best one against the rate divided by the rule's.
    ///
    /// The curves of all batches coincide if the rule holds.
    var collapseCharts: [LineChart] {
        judged.filter { $0.basis == .baseRate }.map { verdict in
            let series = analysis.optima.enumerated().compactMap { index, optimum in
                collapsed(optimum, verdict, color: index)
            }
            return LineChart(
                title: "Loss above the best, by the rate over that of \(verdict.name)",
                sentence: "If the rule holds, the valleys of all batches lie at 1.",
                x: ChartAxis("rate / the rule's rate", scale: .log),
                y: ChartAxis("loss above the best, nats", limits: 0...greatestRegret),
                series: series, markers: [LineChart.Marker(1, "the rule's rate")], height: 220)
        }
    }

    /// Returns nil if the batch has no best rate, or the rule no rate there.
    private func collapsed(
        _ optimum: BatchOptimum, _ verdict: RuleVerdict, color: Int
    ) -> LineChart.Series? {
        guard let best = optimum.optimum.best,
            let rate = verdict.regrets.first(where: { $0.batch == optimum.batch })?.rate
        else { return nil }
        let points = means(of: optimum).map { point in
            LineChart.Point(point.x / rate, min(max(point.y - best.loss, 0), greatestRegret))
        }
        return LineChart.Series(
            "B = \(optimum.batch)", .lineAndPoints, points: points, color: color)
    }

    /// The verdict on each rule at each batch in one word.
    var verdictTable: Table {
        var table = Table(
            caption: "Verdicts", columns: [.init("B")] + judged.map { .init($0.name, .left) })
        for optimum in analysis.optima {
            let words = judged.map { $0.word(atBatch: optimum.batch) }
            table.add(.init(["\(optimum.batch)"] + words))
        }
        return table
    }

    /// The verdicts on the rules that scale the base batch's best rate, and on trained ones.
    private var judged: [RuleVerdict] { analysis.verdicts }
}
