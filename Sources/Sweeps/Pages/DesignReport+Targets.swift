import Glibc
import Report
import Statistics
import Support
import Verdicts

/// The charts of the steps, tokens and time to a loss.
extension DesignReport {
    var targetCharts: [LineChart] {
        analysis.targets.compactMap(hyperbola) + (timeChart.map { [$0] } ?? [])
    }

    /// Returns the chart of the tokens against the steps to a loss; nil if the critical batch is
    /// undetermined.
    private func hyperbola(_ target: TargetLoss) -> LineChart? {
        guard let critical = target.criticalBatch, critical.outside == nil,
            critical.undeterminedInterval == nil, let first = analysis.optima.first?.batch,
            let last = analysis.optima.last?.batch
        else { return nil }
        let (steps, tokens) = (critical.leastSteps.value, critical.leastTokens.value)
        // (S / Smin - 1)(E / Emin - 1) = 1, by the ratio of the batch to the critical one.
        func point(_ ratio: Double) -> LineChart.Point {
            LineChart.Point(steps * (1 + 1 / ratio), tokens * (1 + ratio))
        }
        let ends = [Double(first), Double(last)].map { $0 / critical.sequences.value }
        let (low, high) = (min(ends[0], 1) / 1.5, max(ends[1], 1) * 1.5)
        let curve = (0...80).map { point(low * pow(high / low, Double(80 - $0) / 80)) }
        let range = critical.sequences.interval.map {
            " (\(NumberStyle.count.text($0.lower)) to \(NumberStyle.count.text($0.upper)))"
        }
        let batches = target.costs.compactMap { cost -> LineChart.Series? in
            guard let steps = cost.steps, let tokens = cost.tokens, !cost.isUpperBound else {
                return nil
            }
            return LineChart.Series(
                "B = \(cost.batch)", .points,
                points: [
                    LineChart.Point(
                        steps.value, tokens.value,
                        interval: tokens.interval.map { $0.lower...$0.upper })
                ], color: color(ofBatch: cost.batch))
        }
        let name = NumberStyle.count.text(critical.sequences.value) + (range ?? "")
        return LineChart(
            title: "Steps and tokens to a loss of \(Format.fixed(target.loss, decimals: 3))",
            sentence: "A larger batch takes fewer steps but more tokens. The line is the hyperbola "
                + "(S/Smin\u{A0}\u{2212}\u{A0}1)\u{A0}(E/Emin\u{A0}\u{2212}\u{A0}1)\u{A0}=\u{A0}1 of the steps S "
                + "and the tokens E (McCandlish et al. 2018). At the critical batch, a run takes "
                + "twice the least of both.",
            x: ChartAxis("steps", scale: .log, style: .count),
            y: ChartAxis("tokens", scale: .log, style: .count),
            series: [
                LineChart.Series("hyperbola", points: curve, color: .ink, isListed: false)
            ] + batches,
            markers: [
                LineChart.Marker(2 * steps, "critical batch \(name)")
            ], height: 320)
    }

    /// The chart of the time to each loss; nil if no batch's time is known.
    private var timeChart: LineChart? {
        let series = analysis.targets.enumerated().map { index, target in
            LineChart.Series(
                "to a loss of \(Format.fixed(target.loss, decimals: 3))", .lineAndPoints,
                points: target.costs.compactMap { cost in
                    cost.seconds.map { seconds in
                        LineChart.Point(
                            Double(cost.batch), seconds.value,
                            interval: seconds.interval.flatMap { interval in
                                interval.lower > 0 ? interval.lower...interval.upper : nil
                            })
                    }
                }, color: .palette([2, 1, 5][index % 3]))
        }
        guard series.contains(where: { !$0.points.isEmpty }) else { return nil }
        let fastest = analysis.targets.first?.fastestBatch
        return LineChart(
            title: "Time to a loss",
            sentence:
                "The time of the steps at the tried rate nearest to each batch's best rate, on "
                + "the ranks that trained it: the number of steps times the median duration of a "
                + "step over all runs of the batch. Starts and evaluations are left out.",
            x: batchAxis, y: ChartAxis("time", style: .duration, fromZero: true), series: series,
            markers: fastest.map { [LineChart.Marker(Double($0), "fastest: \($0)")] } ?? [])
    }
}
