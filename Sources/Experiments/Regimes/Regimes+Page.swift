import Report
import Support

extension Regimes {
    /// The report.
    package var page: Page {
        let steps = Format.count(curves.map(\.losses.count).max() ?? 0)
        return Page(
            title: "Too small, good and too large rates",
            subtitle: "One model of \(Format.count(parameterCount)) parameters (\(recipeName)), "
                + "trained from the same start on the same data at three learning rates, up to "
                + "\(steps) steps of \(Format.count(tokensPerStep)) tokens.",
            sections: [
                Page.Section(
                    "What the rates do", text: sentences,
                    items: [.chart(training), .chart(validation), .table(facts)]),
                Page.Section(
                    "Where the runs go",
                    text: [method],
                    items: [map(whole, isClose: false), map(close, isClose: true)]),
            ])
    }

    private func name(_ curve: RegimeCurve) -> String {
        "\(curve.regime.rawValue): \(NumberStyle.scientific.text(curve.learningRate))"
    }

    /// The same color for a run in all charts.
    private func series(
        _ style: LineChart.Series.Style, _ points: (RegimeCurve) -> [LineChart.Point]
    ) -> [LineChart.Series] {
        curves.enumerated().map { index, curve in
            LineChart.Series(name(curve), style, points: points(curve), color: index + 1)
        }
    }

    private var training: LineChart {
        LineChart(
            title: "Loss of the training batches",
            sentence: "Each step's loss before the step; a gap is a loss that is not finite.",
            x: ChartAxis("Step", style: .count), y: ChartAxis("Loss, nats a token"),
            series: series(.line) { curve in
                curve.losses.enumerated().map { LineChart.Point(Double($0), $1) }
            })
    }

    private var validation: LineChart {
        LineChart(
            title: "Loss of the same validation sequences",
            sentence:
                "At the points that the maps below show, over \(Format.count(targets)) targets.",
            x: ChartAxis("Step", style: .count), y: ChartAxis("Loss, nats a token"),
            series: series(.lineAndPoints) { curve in
                curve.snapshots.map { LineChart.Point(Double($0.step), $0.validationLoss) }
            }, height: 220)
    }

    private var facts: Table {
        Table(
            columns: [
                .init("Rate", .left), .init("Meant to be", .left), .init("Steps"), .init("Start"),
                .init("End"), .init("Distance"),
            ],
            rows: curves.map { curve in
                .init([
                    NumberStyle.scientific.text(curve.learningRate), curve.regime.rawValue,
                    Format.count(curve.losses.count), NumberStyle.plain.text(curve.start),
                    NumberStyle.plain.text(curve.end),
                    NumberStyle.plain.text(curve.snapshots.last?.distance ?? 0),
                ])
            })
    }

    private var method: String {
        let percent = NumberStyle.percent
        return "Both maps show the loss on one plane of the parameters: the one through the start "
            + "that comes nearest to the three ways (principal components, each way scaled to the "
            + "same size, because a larger rate goes much farther; Li et al. 2018, arXiv "
            + "1712.09913, section 7). It holds "
            + "\(percent.text(explained[0] + explained[1])) of the squared distances from the start; "
            + "what a run does beside the plane is not seen, so the loss under a line is not the "
            + "run's own. The axes are not to the same scale."
    }

    /// A map, or why there is none.
    private func map(_ surface: LossSurface, isClose: Bool) -> Page.Item {
        let title = isClose ? "Close to the good rate" : "All three ways"
        let heights = surface.losses.filter(\.isFinite)
        guard let least = heights.min(), let greatest = heights.max(), least < greatest else {
            return .note(
                .information,
                "\(title): no map, as the loss is not finite, or the same, at all points of it.")
        }
        let map = ContourMap(
            title: title,
            sentence: isClose
                ? "The same plane around the way at the good rate; a diamond at the edge is where a way "
                    + "leaves the map."
                : "Each line begins at the common start, at 0, and ends at its diamond.",
            xTitle: "First principal direction", yTitle: "Second principal direction",
            grid: surface.grid.regular(surface.losses), quantity: .loss(of: surface.losses),
            paths: curves.map { curve in
                ContourMap.Path(
                    name(curve),
                    points: isClose
                        ? inside(surface.grid, curve) : curve.snapshots.map { ($0.x, $0.y) })
            })
        return .chart(map)
    }

    /// The part of a way up to the edge of a map.
    private func inside(_ grid: PlaneGrid, _ curve: RegimeCurve) -> [(x: Double, y: Double)] {
        var points: [(x: Double, y: Double)] = []
        for snapshot in curve.snapshots {
            let point = (x: snapshot.x, y: snapshot.y)
            guard grid.x.contains(point.x), grid.y.contains(point.y) else {
                if let last = points.last { points.append(grid.edge(from: last, to: point)) }
                break
            }
            points.append(point)
        }
        return points
    }
}
