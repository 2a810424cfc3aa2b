import Recipes
import Report
import Statistics
import Support

extension Coordinates {
    /// A page with a chart for each parametrization.
    package var page: Page {
        Page(
            title: "Coordinate check",
            subtitle: "Models of \(Format.counted(sizes.count, "size")) (\(recipeName)), each "
                + "trained for \(Format.counted(steps, "step")) at the constant rate "
                + "\(NumberStyle.scientific.text(learningRate)) with "
                + "\(Format.counted(seeds, "seed")).",
            sections: [
                Page.Section(
                    "Do activations change equally at every \(axis.quantity)?",
                    items: parametrizations.map { .verdict(verdict($0)) }
                        + parametrizations.map { .chart(chart($0)) } + [.table(slopeTable)]),
                Page.Section("Method", text: [method]),
            ])
    }

    private func verdict(_ parametrization: Parametrization) -> Verdict {
        let (kind, predicate): (Verdict.Kind, String) =
            switch isFlat(parametrization) {
            case true?: (.holds, "activations change equally at every \(axis.quantity)")
            case false?: (.fails, "the change of activations depends on the \(axis.quantity)")
            case nil: (.undecided, "it is undecided whether activations change equally")
            }
        return Verdict(
            kind, "With \(parametrization.title), \(predicate).",
            text: Format.sentence(finding(parametrization)))
    }

    /// The ends of the axis of changes, the same for all charts.
    private var changeLimits: ClosedRange<Double>? {
        let changes = runs.compactMap(\.changes.last).flatMap(\.values).filter {
            $0.isFinite && $0 > 0
        }
        guard let least = changes.min(), let most = changes.max(), least < most else { return nil }
        return least / 1.2...most * 1.2
    }

    private func chart(_ parametrization: Parametrization) -> LineChart {
        let own = runs.filter { $0.parametrization == parametrization }
        let series = axis.places.enumerated().map { index, place in
            LineChart.Series(
                place.rawValue, .lineAndPoints,
                points: sizes.map { size in
                    let changes = own.filter { axis.value(of: $0.size) == size }.compactMap {
                        $0.changes.last?[place]
                    }
                    let mean = Sample(changes).mean
                    let range =
                        (changes.min() ?? mean).isFinite && (changes.max() ?? mean).isFinite
                        ? (changes.min() ?? mean)...(changes.max() ?? mean) : nil
                    return LineChart.Point(Double(size), mean, interval: range)
                }, color: index + 1)
        }
        return LineChart(
            title: "Changes with \(parametrization.title)",
            sentence: "The root mean square change of the activations after "
                + "\(Format.counted(steps, "step")). A band covers the seeds.",
            x: ChartAxis(
                axis.quantity, scale: .log, chosen: sizes.map(Double.init)),
            y: ChartAxis("change of activations", scale: .log, limits: changeLimits),
            series: series)
    }

    private var slopeTable: Table {
        Table(
            columns: [
                .init("parametrization", .left), .init("place", .left), .init("exponent"),
                .init("95 % interval"), .init("finding", .left),
            ],
            rows: slopes.map { slope in
                func number(_ value: Double) -> String { Format.fixed(value, decimals: 2) }
                return .init([
                    slope.parametrization.label, slope.place.rawValue,
                    number(slope.exponent.value),
                    slope.exponent.interval.map {
                        "\(number($0.lower)) to \(number($0.upper))"
                    } ?? "unknown", slope.finding.rawValue,
                ])
            })
    }

    private var method: String {
        "If activations change equally in a step at every size, one learning rate can be expected "
            + "to suit every size (Yang et al. 2022, arXiv 2203.03466, appendix D.1). The change is "
            + "modeled as a power of the \(axis.quantity), whose exponent is fitted to all seeds. A "
            + "place is flat if the exponent's interval is within "
            + "\(Format.fixed(CoordinateSlope.flatBound, decimals: 2)) of 0. Every parametrization "
            + "equals the standard one at the recipe's base or, without one, at the recipe's own "
            + "size."
    }
}
