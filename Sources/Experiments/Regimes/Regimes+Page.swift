import Report
import Support

extension Regimes {
    /// A page that compares the runs.
    package var page: Page {
        let steps = Format.count(curves.map(\.losses.count).max() ?? 0)
        return Page(
            title: "Learning rates: too small, good and too large",
            subtitle: "One model of \(Format.count(parameterCount)) parameters (\(recipeName)), "
                + "trained from the same start on the same data at three learning rates, for up to "
                + "\(steps) steps of \(Format.count(tokensPerStep)) tokens.",
            sections: [
                Page.Section(
                    "Effects of the rates", text: sentences,
                    items: [.chart(training), .chart(validation), .table(facts)]),
                Page.Section(
                    "Paths of the runs", text: [method],
                    items: [map(whole, isClose: false), map(close, isClose: true)]),
            ])
    }

    private func name(_ curve: RegimeCurve) -> String {
        "\(curve.regime.rawValue): \(NumberStyle.scientific.text(curve.learningRate))"
    }

    /// Returns a series for each run, in the color that the run has in all charts.
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
            sentence:
                "The loss of each step before its update. A gap is a loss that is not finite.",
            x: ChartAxis("Step", style: .count), y: ChartAxis("Loss, nats per token"),
            series: series(.line) { curve in
                curve.losses.enumerated().map { LineChart.Point(Double($0), $1) }
            })
    }

    private var validation: LineChart {
        LineChart(
            title: "Validation loss",
            sentence:
                "At the steps that the maps below show, over \(Format.count(targets)) targets.",
            x: ChartAxis("Step", style: .count), y: ChartAxis("Loss, nats per token"),
            series: series(.lineAndPoints) { curve in
                curve.snapshots.map { LineChart.Point(Double($0.step), $0.validationLoss) }
            }, height: 220)
    }

    private var facts: Table {
        Table(
            columns: [
                .init("Rate", .left), .init("Intended as", .left), .init("Steps"), .init("Start"),
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
        return "Both maps show the loss on the plane through the start that lies closest to the "
            + "three paths (principal components; Li et al. 2018, arXiv 1712.09913, section 7). "
            + "Each path is scaled to the same size, because a larger rate goes much farther. The "
            + "plane holds \(percent.text(explained[0] + explained[1])) of the squared distances "
            + "from the start. It does not show how far a run is from the plane, so the loss under "
            + "a line is not the run's own. The axes have different scales."
    }

    /// Returns a map, or a note that explains why there is none.
    private func map(_ surface: LossSurface, isClose: Bool) -> Page.Item {
        let title = isClose ? "Around the path at the good rate" : "All three paths"
        let heights = surface.losses.filter(\.isFinite)
        guard let least = heights.min(), let greatest = heights.max(), least < greatest else {
            return .note(
                .information,
                "\(title): there is no map, because the loss is not finite, or the same, everywhere."
            )
        }
        let map = ContourMap(
            title: title,
            sentence: isClose
                ? "A part of the same plane. A diamond at the edge marks where a path leaves the map."
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

    /// Returns the part of a path up to the edge of a map.
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
