import Report
import Support

extension Landscape {
    /// What the landscape shows, in a sentence.
    package var summary: String {
        let number = NumberStyle.plain
        let finite = surface.losses.filter(\.isFinite)
        let range =
            "the grid's losses are from \(number.text(finite.min() ?? .nan)) to "
            + number.text(finite.max() ?? .nan)
        let notFinite = surface.losses.count - finite.count
        return
            "The loss at step \(Format.count(step)) is \(number.text(originLoss)) nats a token; \(range)"
            + (notFinite == 0 ? "" : ", and \(notFinite) are not finite")
            + (explained.isEmpty ? "" : "; \(explainedText)") + "."
    }

    /// How much of the path the plane shows.
    private var explainedText: String {
        let percent = NumberStyle.percent
        return "the plane holds \(percent.text(explained[0] + explained[1])) of the path's variance"
            + " (\(percent.text(explained[0])) and \(percent.text(explained[1])))"
    }

    /// The report.
    package var page: Page {
        Page(
            title: "Loss landscape of \(runName)",
            subtitle:
                "\(Format.count(surface.grid.count)) points of a plane through the parameters "
                + "of step \(Format.count(step)), each the loss over \(Format.count(targets)) targets "
                + "of \(Format.count(sequences)) validation sequences.",
            sections: [
                Page.Section(
                    "Landscape", text: [summary],
                    items: [.chart(map), .chart(hills)]),
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
        let way = ContourMap.Path("the run", points: path.map { ($0.x, $0.y) })
        return ContourMap(
            title: "Levels of the loss",
            sentence: directions == .filter
                ? "The diamond is the checkpoint; 1 along an axis changes each filter by its own length."
                : "The line is the run's way from step \(path.first?.step ?? 0) to step \(step), the "
                    + "diamond, projected on the plane.",
            xTitle: titles.x, yTitle: titles.y, grid: surface.grid.regular(surface.losses),
            quantity: .loss(of: surface.losses), paths: [directions == .filter ? origin : way])
    }

    private var hills: SurfaceChart {
        SurfaceChart(
            title: "The same as a surface", sentence: "Seen from above and aside.",
            xTitle: "Direction 1", yTitle: "Direction 2",
            grid: surface.grid.regular(surface.losses),
            quantity: ChartAxis("Loss, nats a token"))
    }

    private var method: String {
        switch directions {
        case .filter:
            "Both directions are random and normal; each filter of them, which is what makes one "
                + "neuron, has the length of the parameters' filter (Li et al. 2018, "
                + "arXiv 1712.09913), so that flat and sharp can be compared between models. Biases "
                + "and norms are left as they are."
        case .pca:
            "The directions are the principal components of all checkpoints (Li et al. 2018, "
                + "arXiv 1712.09913, section 7); they have length 1 and meet at a right angle. The "
                + "axes are not to the same scale."
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
                ("Least loss on the grid", NumberStyle.plain.text(least.loss)),
                ("Its place", "\(x), \(y)"),
            ]
        }
        if !explained.isEmpty { rows.append(("Checkpoints", "\(path.count)")) }
        return Table(
            columns: [.init("What", .left), .init("Value", .left)],
            rows: rows.map { .init([$0.0, $0.1]) })
    }
}

extension ChartAxis {
    /// The axis of a landscape's losses: by ratio where they differ much, so that the valley has
    /// levels of its own.
    static func loss(of losses: [Double]) -> ChartAxis {
        let finite = losses.filter(\.isFinite)
        let (low, high) = (finite.min() ?? 1, finite.max() ?? 1)
        return ChartAxis(
            "Loss, nats a token", scale: low > 0 && high > 2 * low ? .log : .linear)
    }
}
