import Report
import Statistics
import Support
import Telemetry

/// A page about the losses, rates, gradients and speed of one or several runs.
package struct RunReport: Sendable {
    private let runs: [RunLog]

    /// Creates a report on one or more runs.
    package init(_ runs: [RunLog]) {
        precondition(!runs.isEmpty, "A report is about at least one run.")
        self.runs = runs
    }

    package var page: Page {
        let names = runs.map(\.name).joined(separator: ", ")
        return Page(
            title: runs.count == 1 ? "Run \(names)" : "\(runs.count) runs", subtitle: summary,
            sections: [
                Page.Section("Loss", items: diagnoses + lossCharts.map { .chart($0) }),
                Page.Section(
                    "Learning rate and gradient",
                    items: [.chart(rateChart), .chart(normChart)]
                        + (noiseChart.map { [.chart($0)] } ?? [])),
                Page.Section(
                    "Speed",
                    items: [.chart(throughputChart), .chart(breakdownChart), .table(table)]),
            ])
    }

    private var summary: String {
        runs.map { run in
            let last = run.steps[run.steps.count - 1]
            let loss =
                run.evaluations.last.map {
                    ", validation loss \(Format.fixed($0.loss, decimals: 4))"
                } ?? ""
            return "\(run.name): \(Format.count(last.step)) steps, "
                + "\(NumberStyle.count.text(last.tokens)) tokens in "
                + "\(NumberStyle.duration.text(last.seconds))\(loss)"
        }.joined(separator: "; ") + "."
    }

    /// The signs of trouble in the runs, or a note that there are none.
    private var diagnoses: [Page.Item] {
        let items = runs.flatMap { run in
            run.diagnoses.map { diagnosis in
                Page.Item.note(
                    .warning,
                    runs.count == 1 ? diagnosis.sentence : "\(run.name), \(diagnosis.sentence)")
            }
        }
        let none = "No sign of a wrong learning rate, bad data or overfitting was detected."
        return items.isEmpty ? [.note(.information, none)] : items
    }

    // MARK: - Charts

    private var lossCharts: [LineChart] {
        [
            lossChart("Loss against tokens", ChartAxis("tokens", style: .count), \.tokens),
            lossChart("Loss against steps", ChartAxis("steps", style: .count)) { Double($0.step) },
            lossChart("Loss against time", ChartAxis("time", style: .duration), \.seconds),
        ]
    }

    private func lossChart(
        _ title: String, _ x: ChartAxis, _ position: (RunLog.Step) -> Double
    ) -> LineChart {
        var series: [LineChart.Series] = []
        for (index, run) in runs.enumerated() {
            series.append(
                LineChart.Series(
                    label("training", run),
                    points: run.steps.map {
                        LineChart.Point(position($0), $0.record["loss"] ?? .nan)
                    }, color: index))
            guard !run.evaluations.isEmpty else { continue }
            series.append(
                LineChart.Series(
                    label("validation", run), .lineAndPoints,
                    points: run.evaluations.map {
                        LineChart.Point(run.position(of: $0.step, position), $0.loss)
                    }, color: runs.count + index))
        }
        let limits = lossLimits(series)
        return LineChart(
            title: title,
            sentence: "Mean cross-entropy over the global batch, and over the validation set"
                + (limits.map { "; cut off above \(NumberStyle.plain.text($0.upperBound))." } ?? "."),
            x: x, y: ChartAxis("loss, nats per token", limits: limits), series: series,
            markers: runs.flatMap { run in
                run.diagnoses.map {
                    LineChart.Marker(run.position(of: $0.step, position), $0.sign.rawValue)
                }
            })
    }

    /// Returns limits of the loss axis that cut off a run that diverges far above all starting
    /// losses, or nil if no run rises that far.
    private func lossLimits(_ series: [LineChart.Series]) -> ClosedRange<Double>? {
        let losses = series.flatMap { $0.points.map(\.y) }.filter(\.isFinite)
        let starts = runs.compactMap { run in
            run.steps.lazy.compactMap { $0.record["loss"] }.first { $0.isFinite }
        }
        guard let highest = losses.max(), let lowest = losses.min(), let start = starts.max(),
            highest > 3 * start
        else { return nil }
        let top = 1.5 * start
        return lowest - 0.06 * (top - lowest)...top
    }

    private var rateChart: LineChart {
        let highest = runs.compactMap { run in
            run.steps.compactMap { $0.record["learning_rate"] }.max()
        }
        // Rates that differ by orders of magnitude are compared on a logarithmic axis.
        let isWide = (highest.max() ?? 0) > 20 * (highest.min() ?? 0)
        return chart(
            "Learning rate", "The rate that each step used.",
            y: ChartAxis("learning rate", scale: isWide ? .log : .linear, style: .scientific),
            field: "learning_rate")
    }

    private var normChart: LineChart {
        chart(
            "Gradient norm", "The global norm before clipping.",
            y: ChartAxis("norm", scale: .log), field: "gradient_norm")
    }

    private var throughputChart: LineChart {
        chart(
            "Throughput", "Tokens per second over all ranks, by step.",
            y: ChartAxis("tokens per second", style: .count, fromZero: true),
            field: "tokens_per_second")
    }

    /// The chart of the noise scale, or nil if no run has a step whose noise scale is determined.
    private var noiseChart: LineChart? {
        let steps = runs.flatMap(\.steps)
        guard steps.contains(where: { $0.record["noise_scale"]?.isFinite == true }) else {
            return nil
        }
        return chart(
            "Noise scale",
            "The batch at which the gradient's noise is as large as the gradient, over "
                + "recent steps, with its 95 % interval. A gap means that it is undetermined.",
            y: ChartAxis("sequences", scale: .log), field: "noise_scale"
        ) { record in
            guard let lower = record["noise_scale_lower"], let upper = record["noise_scale_upper"]
            else { return nil }
            return lower...max(lower, upper)
        }
    }

    /// Returns a chart of a field of the log by step.
    private func chart(
        _ title: String, _ sentence: String, y: ChartAxis, field: String,
        interval: (MetricsRecord) -> ClosedRange<Double>? = { _ in nil }
    ) -> LineChart {
        LineChart(
            title: title, sentence: sentence, x: ChartAxis("steps", style: .count), y: y,
            series: runs.enumerated().map { index, run in
                let points = run.steps.map { step in
                    LineChart.Point(
                        Double(step.step), step.record[field] ?? .nan,
                        interval: interval(step.record))
                }
                return LineChart.Series(run.name, points: points, color: index)
            })
    }

    private func label(_ kind: String, _ run: RunLog) -> String {
        runs.count == 1 ? kind : "\(run.name), \(kind)"
    }

    // MARK: - Where the time went

    private static let parts = [
        ("data", "data_seconds"), ("forward", "forward_seconds"), ("backward", "backward_seconds"),
        ("exposed reduction", "exposed_reduce_seconds"), ("update", "update_seconds"),
    ]

    private func medians(_ run: RunLog) -> [Double] {
        Self.parts.map { part in medianOrZero(run.steps.compactMap { $0.record[part.1] }) }
    }

    private func medianOrZero(_ values: [Double]) -> Double { values.isEmpty ? 0 : median(values) }

    private var breakdownChart: StackedChart {
        StackedChart(
            title: "A step's time", sentence: "Medians over the run's steps, on rank 0.",
            parts: Self.parts.map(\.0), quantity: ChartAxis("time", style: .duration),
            bars: runs.map { StackedChart.Bar($0.name, medians($0)) })
    }

    private var table: Table {
        var table = Table(
            caption: "Medians of a step's parts, on rank 0",
            columns: [.init("run", .left)] + Self.parts.map { .init($0.0) } + [
                .init("whole step"), .init("tokens per second"),
            ])
        for run in runs {
            let whole = medianOrZero(run.steps.compactMap { $0.record["step_seconds"] })
            let rate = medianOrZero(run.steps.compactMap { $0.record["tokens_per_second"] })
            table.add(
                .init(
                    [run.name] + medians(run).map(NumberStyle.duration.text)
                        + [NumberStyle.duration.text(whole), NumberStyle.count.text(rate)]))
        }
        return table
    }
}
