import Report
import Support

extension Landscape {
    /// The findings in one sentence.
    package var summary: String {
        let number = NumberStyle.plain
        let finite = surface.losses.filter(\.isFinite)
        let range =
            "the grid's losses range from \(number.text(finite.min() ?? .nan)) to "
            + number.text(finite.max() ?? .nan)
        let notFinite = surface.losses.count - finite.count
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
            title: "Loss landscape of \(runName)",
            subtitle:
                "The loss at \(Format.count(surface.grid.count)) points of a plane through the "
                + "parameters of step \(Format.count(step)), each over \(Format.count(targets)) "
                + "targets of \(Format.count(sequences)) validation sequences.",
            sections: [
                Page.Section("Landscape", text: [summary], items: [.chart(map), .chart(hills)]),
                Page.Section("How it was measured", text: [method], items: [.table(facts)]),
            ])
    }

    private var runName: String {
        run.split(separator: "/").last.map(String.init) ?? run
    }

    private var titles: (x: String, y: String) {
        switch directions {
        case .filter: ("First random direction", "Second random direction")
        case .pca:
            (
                "First principal direction (\(NumberStyle.percent.text(explained[0])))",
                "Second principal direction (\(NumberStyle.percent.text(explained[1])))"
            )
        }
    }

    private var map: ContourMap {
        let origin = ContourMap.Path("checkpoint of step \(step)", points: [(0, 0)])
        let run = ContourMap.Path("the run", points: path.map { ($0.x, $0.y) })
        return ContourMap(
            title: "Levels of the loss",
            sentence: directions == .filter
                ? "The diamond is the checkpoint. A distance of 1 along an axis changes each filter "
                    + "by its own length."
                : "The line is the path of the run from step \(path.first?.step ?? 0) to step "
                    + "\(step), the diamond, projected onto the plane.",
            xTitle: titles.x, yTitle: titles.y, grid: surface.grid.regular(surface.losses),
            quantity: .loss(of: surface.losses), paths: [directions == .filter ? origin : run])
    }

    private var hills: SurfaceChart {
        SurfaceChart(
            title: "The loss as a surface",
            sentence: "The same values, seen from above at an angle.",
            xTitle: "Direction 1", yTitle: "Direction 2",
            grid: surface.grid.regular(surface.losses),
            quantity: ChartAxis("Loss, nats per token"))
    }

    private var method: String {
        switch directions {
        case .filter:
            "Both directions are random and normally distributed. A filter is the weights of one "
                + "neuron. Each filter of a direction is scaled to the length of the model's filter "
                + "(Li et al. 2018, arXiv 1712.09913), so the sharpness of different models can be "
                + "compared. Biases and norms do not change."
        case .pca:
            "The directions are the principal components of all checkpoints (Li et al. 2018, "
                + "arXiv 1712.09913, section 7). They have length 1 and are perpendicular. The axes "
                + "have different scales."
        }
    }

    private var facts: Table {
        var rows: [(String, String)] = [
            ("Run", run), ("Step", Format.count(step)), ("Directions", directions.rawValue),
        ]
        if directions == .filter { rows.append(("Seed", "\(seed)")) }
        rows += [
            ("Cosine between the directions", NumberStyle.plain.text(cosine)),
            ("Loss of the checkpoint", NumberStyle.plain.text(originLoss)),
        ]
        if let least = surface.least {
            let (x, y) = (NumberStyle.plain.text(least.x), NumberStyle.plain.text(least.y))
            rows += [
                ("Lowest loss on the grid", NumberStyle.plain.text(least.loss)),
                ("Place of the lowest loss", "\(x), \(y)"),
            ]
        }
        if !explained.isEmpty { rows.append(("Checkpoints", "\(path.count)")) }
        return Table(
            columns: [.init("Quantity", .left), .init("Value", .left)],
            rows: rows.map { .init([$0.0, $0.1]) })
    }
}

extension ChartAxis {
    /// Returns the axis of a landscape's losses, which is logarithmic if they differ by more than a
    /// factor of 2, so that several levels fall into the valley.
    static func loss(of losses: [Double]) -> ChartAxis {
        let finite = losses.filter(\.isFinite)
        let (low, high) = (finite.min() ?? 1, finite.max() ?? 1)
        return ChartAxis("Loss, nats per token", scale: low > 0 && high > 2 * low ? .log : .linear)
    }
}
