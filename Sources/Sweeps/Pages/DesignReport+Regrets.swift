import Glibc
import Report
import Support
import Verdicts

/// The charts that compare the rules.
extension DesignReport {
    /// The regrets that the charts show, in tolerances: at least and at most.
    private static let visibleTolerances = 2.0...6.0

    /// Returns the top of an axis of regrets that shows all of them unless they are very large.
    private func top(of regrets: [Double]) -> Double {
        let range = Self.visibleTolerances
        let most = 1.1 * (regrets.filter(\.isFinite).max() ?? 0)
        return min(max(most, range.lowerBound * tolerance), range.upperBound * tolerance)
    }

    /// The chart of the regret against the batch, with a line for each rule and a band for the
    /// tolerance; nil if no regret is known.
    var regretChart: LineChart? {
        let ends = [analysis.optima.first, analysis.optima.last].compactMap(\.self)
        let allowed = LineChart.Series(
            "tolerance", .dashed,
            points: ends.map {
                LineChart.Point(Double($0.batch), tolerance, interval: 0...tolerance)
            }, color: .ink)
        let rules = analysis.verdicts.map { verdict in
            LineChart.Series(
                verdict.name, .lineAndPoints,
                points: verdict.judgedRegrets.compactMap(regretPoint), color: color(of: verdict))
        }.filter { !$0.points.isEmpty }
        let points = rules.flatMap(\.points)
        guard !points.isEmpty else { return nil }
        let top = top(of: points.flatMap { [$0.y, $0.interval?.upperBound ?? 0] })
        let isOpen = points.contains { $0.interval?.upperBound == .infinity }
        let above = points.count { $0.y > top && $0.y.isFinite }
        let diverged = points.count { $0.y == .infinity }
        return LineChart(
            title: "Regret against batch",
            sentence: "The cost of each rule with its interval. A rule holds where its whole "
                + "interval lies in the gray band."
                + (isOpen ? " An interval up to the top edge has no known upper end." : "")
                + edgeSentence(
                    triangles: above > 0 ? Format.counted(above, "greater cost") : nil,
                    crosses: diverged > 0
                        ? Format.counted(diverged, "rate") + " that diverged" : nil),
            x: batchAxis,
            y: ChartAxis("regret, nats per token", limits: 0...top, marksBeyond: true),
            series: [allowed] + rules, height: 300)
    }

    private func regretPoint(_ regret: Regret) -> LineChart.Point? {
        let batch = Double(regret.batch)
        switch regret.outcome {
        case .measured(let estimate):
            let value = max(0, estimate.value)
            // One seed gives no interval. A point without one would interrupt the band.
            let isKnown = regret.seedCount > 1 && regret.batch != baseBatch
            let lower = isKnown ? min(max(0, regret.lower ?? 0), value) : value
            let upper = isKnown ? max(regret.upper ?? .infinity, value) : value
            return LineChart.Point(batch, value, interval: lower...upper)
        case .diverged: return LineChart.Point(batch, .infinity)
        case .belowDivergence, .outsideGrid, .unavailable: return nil
        }
    }

    /// Returns a sentence about the marks at the top edge of a chart, after a space; empty if there
    /// are none.
    ///
    /// - Parameters:
    ///   - triangles: the meaning of the triangles, or nil if there are none.
    ///   - crosses: the meaning of the crosses, or nil if there are none.
    func edgeSentence(triangles: String?, crosses: String?) -> String {
        let kinds = [
            triangles.map { "triangles mark \($0)" }, crosses.map { "crosses mark \($0)" },
        ].compactMap(\.self)
        return kinds.isEmpty ? "" : " At the top edge, \(Format.list(kinds))."
    }

    /// The charts of the loss above each batch's best one against the rate divided by the rule's.
    ///
    /// The curves of all batches coincide if the rule holds.
    var collapseCharts: [LineChart] {
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
            let top = Self.visibleTolerances.upperBound * tolerance
            let above = points.count { $0.y > top }
            return LineChart(
                title: "Loss above the best, by the rate over that of \(rule.name)",
                sentence:
                    "Where the rule holds, a batch's valley lies at 1, so the valleys coincide."
                    + edgeSentence(
                        triangles: above > 0
                            ? Format.counted(above, "greater loss", "greater losses") : nil,
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
