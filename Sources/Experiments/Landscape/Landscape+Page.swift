import Report
import Support

extension Landscape {
    /// The findings in one sentence.
    package var summary: String {
        let number = NumberStyle.plain
        let finite = losses.filter(\.isFinite)
        let range =
            (planes.count == 1
                ? "the grid's losses range" : "the losses on all \(planes.count) planes range")
            + " from \(number.text(finite.min() ?? .nan)) to \(number.text(finite.max() ?? .nan))"
        let notFinite = losses.count - finite.count
        return
            "The loss at step \(Format.count(step)) is \(number.text(originLoss)) nats per token; \(range)"
            + (notFinite == 0 ? "" : ", and \(notFinite) are not finite")
            + (explained.isEmpty ? "" : "; \(explainedText)") + "."
    }

    /// A clause about the fraction of the path's variance that the plane holds.
    private var explainedText: String {
        let percent = NumberStyle.percent
        return "the plane holds \(percent.text(explained[0] + explained[1])) of the path's variance"
            + " (\(percent.text(explained[0])) and \(percent.text(explained[1])))"
    }

    /// A page about the landscape.
    package var page: Page {
        Page(
            title: "Loss landscape of \(FileSystem.name(of: run))",
            subtitle:
                "The loss at \(Format.count(planes[0].surface.grid.count)) points of "
                + "\(planes.count == 1 ? "a plane" : "each of \(planes.count) planes") through the "
                + "parameters of step \(Format.count(step)), each over \(Format.count(targets)) "
                + "targets of \(Format.count(sequences)) validation sequences.",
            sections: [
                Page.Section(
                    "Landscape", text: [summary],
                    items: (planes.count > 1 ? [.chart(overview)] : [])
                        + [.chart(map), .chart(hills)]),
                Page.Section("How it was measured", text: [method], items: [.table(facts)]),
            ])
    }

    private var titles: (x: String, y: String) {
        switch directions {
        case .filter: ("first random direction", "second random direction")
        case .pca:
            (
                "first principal direction (\(NumberStyle.percent.text(explained[0])))",
                "second principal direction (\(NumberStyle.percent.text(explained[1])))"
            )
        }
    }

    /// The colors of losses, the same for all planes.
    private var quantity: ChartAxis { .loss(of: losses) }

    private var overview: PlanesChart {
        PlanesChart(
            title: "Levels of the loss on \(planes.count) random planes",
            sentence:
                "All planes have the same colors and levels. The diamond is the checkpoint, and "
                + "the line that ends there is the path of the run, which is often too short on a "
                + "random plane to be seen.",
            quantity: quantity.covering(losses),
            planes: planes.enumerated().map { index, plane in
                .init(
                    "Plane \(index + 1)", grid: plane.surface.grid.regular(plane.surface.losses),
                    path: plane.visiblePath)
            })
    }

    /// The words before a chart's title that name the first of several planes.
    private var planeName: String { planes.count == 1 ? "" : "Plane 1: " }

    private var map: ContourMap {
        let plane = planes[0]
        let path =
            "The line is the path of the run from step \(plane.path.first?.step ?? 0) to step "
            + "\(step), the diamond, projected onto the plane."
        return ContourMap(
            title: planeName + "Levels of the loss",
            sentence: directions == .filter
                ? path + " On a random plane it is often too short to be seen. A distance of 1 "
                    + "along an axis changes each filter by its own length."
                : path,
            xTitle: titles.x, yTitle: titles.y,
            grid: plane.surface.grid.regular(plane.surface.losses),
            quantity: quantity.covering(losses),
            paths: [.init("the run", points: plane.visiblePath)])
    }

    private var hills: SurfaceChart {
        let plane = planes[0]
        return SurfaceChart(
            title: planeName + "The loss as a surface",
            sentence: "The same values and path, seen from above at an angle.",
            xTitle: "direction 1", yTitle: "direction 2",
            grid: plane.surface.grid.regular(plane.surface.losses),
            quantity: ChartAxis("loss, nats per token").covering(losses),
            paths: [.init("the run", points: plane.visiblePath)])
    }

    private var method: String {
        switch directions {
        case .filter:
            "Both directions are random and normally distributed. A filter is the weights of one "
                + "neuron. Each filter of a direction is scaled to the length of the model's filter "
                + "(Li et al. 2018, arXiv 1712.09913), so the sharpness of different models can be "
                + "compared. Biases and norms do not change. A random plane contains hardly "
                + "anything of a path in the space of all parameters, so the path on it is short, "
                + "and the loss under the line is not the run's own."
        case .pca:
            "The directions are the principal components of all checkpoints (Li et al. 2018, "
                + "arXiv 1712.09913, section 7). They have length 1 and are perpendicular. The axes "
                + "have different scales. The loss under the line is not the run's own where the "
                + "path is away from the plane."
        }
    }

    private var facts: Table {
        let plane = planes[0]
        var rows: [(String, String)] = [
            ("Run", run), ("Step", Format.count(step)), ("Directions", directions.rawValue),
        ]
        if directions == .filter { rows.append(("Seed", "\(seed)")) }
        func texts(_ style: NumberStyle, _ value: (Plane) -> Double) -> String {
            planes.map { style.text(value($0)) }.joined(separator: ", ")
        }
        rows += [
            ("Checkpoints", "\(plane.path.count)"),
            ("Cosine between the directions", texts(.plain, \.cosine)),
            ("Squared distances from the end in the plane", texts(.percent, \.held)),
            ("Loss of the checkpoint", NumberStyle.plain.text(originLoss)),
        ]
        let lowest = planes.compactMap(\.surface.least).min { $0.loss < $1.loss }
        if let least = lowest {
            let (x, y) = (NumberStyle.plain.text(least.x), NumberStyle.plain.text(least.y))
            rows += [
                (
                    planes.count == 1 ? "Lowest loss on the grid" : "Lowest loss on the grids",
                    NumberStyle.plain.text(least.loss)
                ),
                ("Place of the lowest loss", "\(x), \(y)"),
            ]
        }
        return Table(
            columns: [.init("quantity", .left), .init("value", .left)],
            rows: rows.map { .init([$0.0, $0.1]) })
    }
}

extension ChartAxis {
    /// Returns the axis of a landscape's losses, which is logarithmic if they differ by more than a
    /// factor of 2, so that several levels fall into the valley.
    static func loss(of losses: [Double]) -> ChartAxis {
        let finite = losses.filter(\.isFinite)
        let (low, high) = (finite.min() ?? 1, finite.max() ?? 1)
        return ChartAxis("loss, nats per token", scale: low > 0 && high > 2 * low ? .log : .linear)
    }

    /// Returns the axis with the ends of all values, so that several charts have the same colors.
    func covering(_ values: [Double]) -> ChartAxis {
        var axis = self
        axis.limits = domain(of: values)
        return axis
    }
}
