import Glibc
import Report
import Support
import Verdicts

/// The charts that compare the rules.
extension DesignReport {
    /// The chart of the regret against the batch, with a line for each rule; nil if no regret is
    /// known.
    var regretChart: LineChart? {
        RegretChart(
            title: "Regret against batch",
            sentence: "The cost of each rule with its interval. A rule holds where its whole "
                + "interval lies in the gray band.",
            x: batchAxis,
            lines: analysis.verdicts.map { verdict in
                RegretChart.Line(
                    name: verdict.name, regrets: verdict.judgedRegrets,
                    color: color(of: verdict), base: baseBatch)
            }, tolerance: tolerance
        ).chart
    }

    /// The charts of the loss above each batch's best one against the rate divided by the rule's.
    ///
    /// The curves of all batches coincide if the rule holds. There are no charts if fewer than two
    /// batches have a best rate.
    var collapseCharts: [LineChart] {
        guard analysis.optima.count(where: { $0.optimum.best != nil }) >= 2 else { return [] }
        let rules = analysis.verdicts.filter { $0.basis == .baseRate }.map { verdict in
            (name: verdict.name, series: analysis.optima.flatMap { collapsed($0, verdict) })
        }
        // All charts have the same axes, so that the spread of the valleys can be compared. Rates
        // far from every valley would make the valleys narrow.
        let valleys = rules.flatMap(\.series).filter { $0.style == .line }.flatMap(\.points)
        let ratios = valleys.map(\.x)
        guard let low = ratios.min(), let high = ratios.max(), low < high else { return [] }
        return rules.map { rule in
            var series = rule.series
            for index in series.indices {
                series[index].points.removeAll { !(low...high).contains($0.x) }
            }
            let points = series.filter { $0.style == .points }.flatMap(\.points)
            let top = RegretChart.visibleTolerances.upperBound * tolerance
            let above = points.count { $0.y > top }
            return LineChart(
                title: "Loss above the best, by the rate relative to \(rule.name)",
                sentence:
                    "Where the rule holds, a batch's valley lies at 1, so the valleys coincide."
                    + RegretChart.edgeSentence(
                        triangles: .init(above, "a greater loss", "greater losses"),
                        crosses: nil),
                x: ChartAxis(
                    "rate / the rule's rate", scale: .log, limits: (low / 1.2)...(high * 1.2)),
                y: ChartAxis(
                    "loss above the best, nats per token", limits: (-0.1 * top)...top,
                    marksBeyond: true),
                series: series, markers: [LineChart.Marker(1, "the rule's rate")], height: 220)
        }
    }

    /// Returns a batch's losses and its fitted valley, or nothing if the batch has no best rate, or
    /// the rule no rate there.
    private func collapsed(
        _ optimum: BatchOptimum, _ verdict: RuleVerdict
    ) -> [LineChart.Series] {
        guard let best = optimum.optimum.best,
            let rate = verdict.regrets.first(where: { $0.batch == optimum.batch })?.rate
        else { return [] }
        let moved = { (point: LineChart.Point) in
            LineChart.Point(point.x / rate, point.y - best.loss)
        }
        let name = "B = \(optimum.batch)"
        let color = color(ofBatch: optimum.batch)
        return [
            LineChart.Series(
                name, .points, points: Self.means(of: optimum).map(moved), color: color),
            LineChart.Series(
                "\(name), fit", points: fit(of: optimum).map(moved), color: color, isListed: false),
        ]
    }
}
