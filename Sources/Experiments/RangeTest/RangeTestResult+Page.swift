import Report
import Support

extension RangeTestResult {
    /// A page with the recommendation, the probes and the curve.
    package var page: Page {
        let ramp = curve.ramp
        let recipe = plan.recipe
        let from =
            start.map { "the checkpoint of step \(startStep) in \($0)" } ?? initialModel?.title
            ?? "new parameters"
        let kind: Page.Note.Kind = recommendation.rate == nil ? .warning : .information
        let note = Page.Item.note(kind, sentence(recommendationText))
        let ending = endingText.map { [Page.Item.note(.information, sentence($0))] } ?? []
        return Page(
            title: "Learning-rate range test",
            subtitle: "\(recipe.optimizer.name.rawValue), batch \(recipe.training.globalBatch), "
                + "\(Format.count(recipe.model.parameterCount)) parameters; rates from \(ramp.from) to "
                + "\(ramp.to) over \(Format.count(ramp.steps)) steps, from \(from).",
            sections: [
                .init("Recommendation", items: [note] + searches.flatMap(probeItems)),
                .init("Range test", items: [.chart(chart)] + ending),
            ])
    }

    private func sentence(_ text: String) -> String {
        Format.sentence(text.replacing("\n", with: "; "))
    }

    private func probeItems(_ search: RateSearch) -> [Page.Item] {
        let finished = search.probes.filter { !$0.hasDiverged }
        let ranges = search.goodRanges
        let ends = ranges.flatMap { [("lowest", $0.lowest), ("highest", $0.highest)] }
        let chart = LineChart(
            title: "Loss after \(Format.count(search.probeSteps)) steps",
            sentence: "Each point is a run at one learning rate, after a short warmup. Its loss is "
                + "the mean of the last quarter of its steps.",
            x: ChartAxis("learning rate", scale: .log, style: .scientific),
            y: ChartAxis("training loss, nats per token"),
            series: [
                .init("probes", .lineAndPoints, points: finished.map { .init($0.rate, $0.loss) })
            ],
            markers: ends.map { name, rate in
                .init(rate, "\(name) good rate \(NumberStyle.scientific.text(rate))")
            })
        let table = Table(
            columns: [.init("learning rate"), .init("loss"), .init("steps taken")],
            rows: search.probes.map { probe in
                let isGood = ranges.contains { $0.lowest <= probe.rate && probe.rate <= $0.highest }
                return .init(
                    [
                        NumberStyle.scientific.text(probe.rate),
                        probe.hasDiverged ? "diverged" : NumberStyle.plain.text(probe.loss),
                        Format.count(probe.losses.count),
                    ], isEmphasized: isGood)
            })
        let items: [Page.Item] =
            finished.isEmpty ? [.table(table)] : [.chart(chart), .table(table)]
        let isRepeated = search.probeSteps != self.search?.probeSteps
        return items + (isRepeated ? unsettledNotes(search) : [])
    }

    private func unsettledNotes(_ search: RateSearch) -> [Page.Item] {
        unsettledText(search).map { [.note(.information, sentence($0))] } ?? []
    }

    private var chart: LineChart {
        let style = ChartAxis(
            "learning rate", scale: curve.ramp.shape == .geometric ? .log : .linear,
            style: .scientific)
        let smoothed = curve.points.map(\.smoothed).filter(\.isFinite)
        return LineChart(
            title: "Loss against a rising learning rate",
            sentence: "The bold line is the loss smoothed over a twentieth of the ramp. The thin "
                + "line is the loss of each batch.",
            x: style, y: ChartAxis("training loss, nats per token", limits: lossLimits(smoothed)),
            series: [
                .init(
                    "each batch", points: curve.points.map { .init($0.rate, $0.loss) }, color: 0,
                    lineWidth: 0.8),
                .init(
                    "smoothed", points: curve.points.map { .init($0.rate, $0.smoothed) },
                    color: 1, lineWidth: 3),
            ],
            markers: curve.startingRate.map {
                [.init($0, "half of the fall \(NumberStyle.scientific.text($0))")]
            } ?? [], height: 360)
    }

    /// Returns the ends of the loss axis, which cut off divergence so that the rest stays visible.
    private func lossLimits(_ smoothed: [Double]) -> ClosedRange<Double>? {
        let losses = curve.points.map(\.loss).filter(\.isFinite)
        guard let first = smoothed.first, let least = losses.min(), let most = losses.max() else {
            return nil
        }
        let high = min(most, 1.5 * first)
        let margin = 0.05 * max(high - least, 1e-3)
        return (least - margin)...(high + margin)
    }
}
