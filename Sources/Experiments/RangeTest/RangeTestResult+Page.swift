import Report
import Support

extension RangeTestResult {
    /// A page with the recommendation, the curve and the suggestions.
    package var page: Page {
        let ramp = curve.ramp
        let recipe = plan.recipe
        let from = start.map { "the checkpoint of step \(startStep) in \($0)" } ?? "new parameters"
        let kind: Page.Note.Kind = finding.recommendation.rate == nil ? .warning : .information
        let notes =
            [Page.Item.note(kind, sentence(recommendationText))]
            + (endingText.map { [.note(.information, sentence($0))] } ?? [])
        return Page(
            title: "Learning-rate range test",
            subtitle: "\(recipe.optimizer.name.rawValue), batch \(recipe.training.globalBatch), "
                + "\(Format.count(recipe.model.parameterCount)) parameters; rates from \(ramp.from) to "
                + "\(ramp.to) over \(Format.count(ramp.steps)) steps, from \(from).",
            sections: [.init("Findings", items: notes + [.chart(chart), .table(table)])])
    }

    private func sentence(_ text: String) -> String {
        text.prefix(1).uppercased() + text.dropFirst().replacing("\n", with: "; ") + "."
    }

    private var chart: LineChart {
        let style = ChartAxis(
            "learning rate", scale: curve.ramp.shape == .geometric ? .log : .linear,
            style: .scientific)
        let smoothed = curve.points.map(\.smoothed).filter(\.isFinite)
        return LineChart(
            title: "Loss against learning rate",
            sentence: "The bold line is the loss smoothed over about half of the ramp, so it lags "
                + "behind. The thin line is the loss of each batch.",
            x: style, y: ChartAxis("training loss, nats per token", limits: lossLimits(smoothed)),
            series: [
                .init(
                    "each batch", points: curve.points.map { .init($0.rate, $0.loss) }, color: 0,
                    lineWidth: 0.8),
                .init(
                    "smoothed", points: curve.points.map { .init($0.rate, $0.smoothed) },
                    color: 1, lineWidth: 3),
            ],
            markers: finding.suggestions.compactMap { name, suggestion in
                suggestion.rate.map { .init($0, "\(name) \(NumberStyle.scientific.text($0))") }
            }, height: 360)
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

    private var table: Table {
        Table(
            columns: [
                .init("suggestion", .left), .init("learning rate"), .init("smoothed loss"),
                .init("meaning", .left),
            ],
            rows: finding.suggestions.map { name, suggestion in
                switch suggestion {
                case .rate(let rate, let loss):
                    let isChosen = finding.recommendation.rate == rate && name != "steepest"
                    return .init(
                        [
                            name, NumberStyle.scientific.text(rate), NumberStyle.plain.text(loss),
                            meaning(of: name),
                        ], isEmphasized: isChosen)
                case .none(let reason): return .init([name, "", "", reason.rawValue])
                }
            })
    }

    private func meaning(of name: String) -> String {
        switch name {
        case "valley": "halfway through the longest fall of the smoothed loss"
        case "steepest": "where the smoothed loss falls fastest"
        default: "a tenth of the rate at which the smoothed loss is lowest"
        }
    }
}
