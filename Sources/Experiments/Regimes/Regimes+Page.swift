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
                    "Choice of the rates", text: [choice.joined(separator: " ")],
                    items: [.chart(search.map(rates) ?? givenRates)]),
                Page.Section(
                    "Sharpness", text: sharpnessText,
                    items: [.chart(sharpness), .table(sharpnessFacts)]),
                Page.Section(
                    "Paths of the runs", text: [method],
                    items: [map(whole, isClose: false), map(close, isClose: true)] + hills),
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

    /// Returns the axis of losses, which cuts off those far above the start so that the others stay
    /// visible.
    private func lossAxis(_ losses: [Double]) -> ChartAxis {
        let finite = losses.filter(\.isFinite)
        let (low, high) = (finite.min() ?? 0, finite.max() ?? 1)
        let top = min(high, Self.visibleRise * curves[0].start)
        let margin = 0.05 * max(top - low, 1e-3)
        return ChartAxis(
            "loss, nats per token",
            limits: top.isFinite ? (low - margin)...(top + margin) : nil)
    }

    private static let visibleRise = 1.25

    private var training: LineChart {
        LineChart(
            title: "Loss of the training batches",
            sentence:
                "The loss of each step before its update. Losses far above the start are cut off.",
            x: ChartAxis("step", style: .count), y: lossAxis(curves.flatMap(\.losses)),
            series: series(.line) { curve in
                curve.losses.enumerated().map { LineChart.Point(Double($0), $1) }
            })
    }

    private var validation: LineChart {
        LineChart(
            title: "Validation loss",
            sentence:
                "At the steps that the maps below show, over \(Format.count(targets)) targets.",
            x: ChartAxis("step", style: .count),
            y: lossAxis(curves.flatMap { $0.snapshots.map(\.validationLoss) }),
            series: series(.lineAndPoints) { curve in
                curve.snapshots.map { LineChart.Point(Double($0.step), $0.validationLoss) }
            }, height: 220)
    }

    // MARK: - Rates

    /// Returns the losses of a search's probes against their rates.
    private func rates(_ search: RateSearch) -> LineChart {
        let finished = search.probes.filter { !$0.hasDiverged }
        let losses = finished.map(\.loss) + search.probes.prefix(1).map { $0.losses[0] }
        let (low, high) = (losses.min() ?? 0, losses.max() ?? 1)
        let margin = 0.08 * max(high - low, 1e-3)
        func point(_ probe: RateProbe) -> LineChart.Point {
            // Divergence has no loss, so it is drawn at the upper edge.
            .init(probe.rate, probe.hasDiverged ? high + 0.5 * margin : probe.loss)
        }
        let diverged = search.probes.filter(\.hasDiverged).map(point)
        let chosen = zip(
            curves, [search.probe(beyond: -1), search.goodProbe, search.probe(beyond: 1)]
        ).enumerated()
        return LineChart(
            title: "Loss after \(Format.count(search.probeSteps)) steps at each rate",
            sentence: "Each point is a short run. The lines and colors mark the chosen rates."
                + (diverged.isEmpty
                    ? ""
                    : " Runs whose loss rose above twice its start, or was no longer finite, ended "
                        + "there and are at the upper edge."),
            x: ChartAxis("learning rate", scale: .log, style: .scientific),
            y: ChartAxis(
                "training loss, nats per token", limits: (low - margin)...(high + margin)),
            series: [.init("short runs", .lineAndPoints, points: finished.map(point), color: 0)]
                + (diverged.isEmpty
                    ? [] : [.init("ended early", .points, points: diverged, color: 5)])
                + chosen.map { index, pair in
                    .init(
                        name(pair.0), .points, points: pair.1.map { [point($0)] } ?? [],
                        color: index + 1, isListed: false)
                },
            markers: curves.map { .init($0.learningRate, name($0)) })
    }

    /// The final losses of the runs against their rates.
    private var givenRates: LineChart {
        let finished = curves.filter { !$0.hasDiverged && $0.end.isFinite }
        let losses = finished.map(\.end) + [curves[0].start]
        let (low, high) = (losses.min() ?? 0, losses.max() ?? 1)
        let margin = 0.08 * max(high - low, 1e-3)
        func point(_ curve: RegimeCurve) -> LineChart.Point {
            let loss = curve.hasDiverged || !curve.end.isFinite ? high + 0.5 * margin : curve.end
            return .init(curve.learningRate, loss)
        }
        let isComplete = finished.count == curves.count
        return LineChart(
            title: "Loss after the run at each rate",
            sentence: "The lines and colors mark the runs."
                + (isComplete
                    ? "" : " Runs whose losses are no longer finite are at the upper edge."),
            x: ChartAxis("learning rate", scale: .log, style: .scientific),
            y: ChartAxis(
                "validation loss, nats per token", limits: (low - margin)...(high + margin)),
            series: [
                .init("runs", .lineAndPoints, points: finished.map(point), color: 0)
            ]
                + curves.enumerated().map { index, curve in
                    .init(
                        name(curve), .points, points: [point(curve)], color: index + 1,
                        isListed: false)
                },
            markers: curves.map { .init($0.learningRate, name($0)) })
    }

    // MARK: - Sharpness

    private var sharpnessText: [String] {
        let product = NumberStyle.plain.text(stableProduct)
        let matrix =
            isPreconditioned
            ? "the Hessian H of the training loss, with each parameter scaled as the optimizer "
                + "scales its steps: of P^-1/2 H P^-1/2, where P are the numbers by which it divides "
                + "the steps"
            : "the Hessian of the training loss"
        return [
            "The sharpness is the largest eigenvalue of \(matrix). On a quadratic loss"
                + "\(isPreconditioned ? " with fixed P" : ""), this optimizer diverges if the "
                + "sharpness is above \(product) / rate, its bound (Cohen et al. 2022, arXiv "
                + "2207.14484). A real loss is not quadratic: a run that gets above the bound "
                + "oscillates until it finds a flatter place. The noise of small batches keeps "
                + "good runs below.",
            "It was measured over \(Format.count(sharpnessTargets)) training targets, the same "
                + "everywhere, without dropout, by Lanczos' method with differences of gradients. A "
                + "clipped gradient makes a step smaller than the bound assumes.",
        ]
    }

    private var sharpness: LineChart {
        func points(
            _ curve: RegimeCurve, _ value: (RegimeCurve.Sharpness) -> Double
        ) -> [LineChart.Point] {
            curve.snapshots.compactMap { snapshot in
                snapshot.sharpness.map { LineChart.Point(Double(snapshot.step), value($0)) }
            }
        }
        let bounds = curves.enumerated().map { index, curve in
            LineChart.Series(
                "bound at \(NumberStyle.scientific.text(curve.learningRate))", .dashed,
                points: points(curve, \.stable), color: index + 1, isListed: false)
        }
        return LineChart(
            title: "Sharpness along the runs",
            sentence: "The dashed line in a run's color is the bound of its rate.",
            x: ChartAxis("step", style: .count), y: ChartAxis("sharpness", scale: .log),
            series: series(.lineAndPoints) { points($0, \.value) } + bounds)
    }

    private var sharpnessFacts: Table {
        Table(
            columns: [
                .init("rate", .left), .init("last sharpness"), .init("bound"), .init("ratio"),
                .init("clipped"),
            ],
            rows: curves.map { curve in
                let (value, stable) = (
                    curve.lastSharpness?.value ?? .nan, curve.lastSharpness?.stable ?? .nan
                )
                let clipped = Double(curve.clippedSteps) / Double(max(1, curve.losses.count))
                return .init([
                    NumberStyle.scientific.text(curve.learningRate),
                    Self.text(value), Self.text(stable),
                    Format.significant(value / stable, digits: 2),
                    NumberStyle.percent.text(clipped),
                ])
            })
    }

    private static func text(_ sharpness: Double) -> String {
        100...1e15 ~= sharpness
            ? Format.count(Int(sharpness.rounded())) : Format.significant(sharpness, digits: 3)
    }

    // MARK: - Facts and maps

    private var facts: Table {
        Table(
            columns: [
                .init("rate", .left), .init("meant as", .left), .init("steps"), .init("end"),
                .init("distance"),
            ],
            rows: curves.map { curve in
                .init([
                    NumberStyle.scientific.text(curve.learningRate), curve.regime.rawValue,
                    Format.count(curve.losses.count), NumberStyle.plain.text(curve.end),
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
            xTitle: "first principal direction", yTitle: "second principal direction",
            grid: surface.grid.regular(surface.losses), quantity: .loss(of: surface.losses),
            paths: curves.map { curve in
                ContourMap.Path(
                    name(curve),
                    points: isClose
                        ? inside(surface.grid, curve) : curve.snapshots.map { ($0.x, $0.y) })
            })
        return .chart(map)
    }

    /// The part of the plane around the path at the good rate as a surface; none if no loss is
    /// finite.
    private var hills: [Page.Item] {
        guard close.least != nil else { return [] }
        let chart = SurfaceChart(
            title: "Around the path at the good rate, as a surface",
            sentence: "The same values, seen from above at an angle. The paths lie on the surface.",
            xTitle: "direction 1", yTitle: "direction 2", grid: close.grid.regular(close.losses),
            quantity: ChartAxis("loss, nats per token"),
            paths: curves.map { ContourMap.Path(name($0), points: inside(close.grid, $0)) })
        return [.chart(chart)]
    }

    private func inside(_ grid: PlaneGrid, _ curve: RegimeCurve) -> [(x: Double, y: Double)] {
        grid.beginning(of: curve.snapshots.map { ($0.x, $0.y) })
    }
}
