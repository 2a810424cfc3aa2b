import Support

extension LineChart {
    /// The height of a row of marker labels, in pixels.
    private var rowHeight: Int { 16 }

    package var specification: JSONObject {
        let names = series.map(\.name)
        let text: [JSONValue] = [
            ["name": "names", "value": .array(names.map(JSONValue.string))],
            ["name": "xTitle", "value": .string(x.title)],
        ]
        return Report.specification(
            height: height,
            signals: text + Hover.signals
                + tickSignals("x", x, in: xDomain, wideMost: 10, narrowMost: 5)
                + tickSignals("y", y, in: yDomain, wideMost: 7, narrowMost: 7),
            data: pointData + annotationData
                + Hover.data(value: y.style.expression("datum.y"), interval: intervalText),
            scales: scales,
            axes: [
                axis("y", orient: "left", grid: true),
                axis("x", orient: "bottom", title: x.title, grid: false),
            ],
            legends: legends,
            marks: spanMarks + levelMarks + ruleMarks + seriesMarks
                + Hover.marks(x: x.style) + labelMarks,
            heading: y.title)
    }

    // MARK: - Data

    private var pointData: [JSONValue] {
        var rows: [JSONValue] = []
        for (index, series) in series.enumerated() {
            let drawn = series.points.filter { x.drawable($0.x) != nil }
            for place in thinned(drawn.map { y.drawable($0.y) }) {
                let point = drawn[place]
                var row: JSONObject = [
                    "s": .integer(index), "x": .number(point.x),
                    "y": optional(y.drawable(point.y)),
                ]
                if let lower = y.drawable(point.interval?.lowerBound),
                    let upper = y.drawable(point.interval?.upperBound)
                {
                    row["lower"] = .number(lower)
                    row["upper"] = .number(upper)
                }
                rows.append(.object(row))
            }
        }
        func part(_ name: String, _ belongs: (Series.Style) -> Bool) -> JSONValue {
            let places = series.indices.filter { belongs(series[$0].style) }
            let list = places.map(String.init).joined(separator: ", ")
            return [
                "name": .string(name), "source": "points",
                "transform": [
                    ["type": "filter", "expr": .string("indexof([\(list)], datum.s) >= 0")]
                ],
            ]
        }
        return [
            table("points", rows), part("lined", \.hasLine), part("dotted", \.hasPoints),
            part("whiskered") { $0 == .points },
        ]
    }

    /// Markers, spans, their labels with the row of each, and levels.
    private var annotationData: [JSONValue] {
        let shown = abscissae
        let places = shown.map { (x.fraction(of: $0.middle, in: xDomain), $0.label) }
        let narrow = markerRows(places, width: 280)
        let wide = markerRows(places, width: Double(wideChart))
        func tuples(_ belongs: (Abscissa) -> Bool) -> [JSONValue] {
            shown.indices.filter { belongs(shown[$0]) }.map { index -> JSONValue in
                [
                    "from": .number(shown[index].from), "to": .number(shown[index].to),
                    "middle": .number(shown[index].middle), "label": .string(shown[index].label),
                    "half": .number(Double(shown[index].label.count) * 3.3),
                    "narrow": .integer(-6 - rowHeight * narrow[index]),
                    "wide": .integer(-6 - rowHeight * wide[index]),
                ]
            }
        }
        let drawn = levels.filter { y.drawable($0.y) != nil }
        return [
            table("markers", tuples { !$0.isSpan }), table("spans", tuples(\.isSpan)),
            table("labels", tuples { _ in true }),
            table("levels", drawn.map(Self.tuple)),
        ]
    }

    private static func tuple(_ level: Level) -> JSONValue {
        ["y": .number(level.y), "label": .string(level.label)]
    }

    private struct Abscissa {
        let from: Double
        let to: Double
        let middle: Double
        let label: String
        let isSpan: Bool
    }

    /// The markers and spans that can be drawn.
    private var abscissae: [Abscissa] {
        let marked = markers.filter { x.drawable($0.x) != nil }.map {
            Abscissa(from: $0.x, to: $0.x, middle: $0.x, label: $0.label, isSpan: false)
        }
        let shaded = spans.compactMap { span -> Abscissa? in
            let (from, to) = (span.x.lowerBound, span.x.upperBound)
            guard x.drawable(from) != nil, x.drawable(to) != nil else { return nil }
            let middle = x.scale == .log ? (from * to).squareRoot() : (from + to) / 2
            return Abscissa(from: from, to: to, middle: middle, label: span.label, isSpan: true)
        }
        return marked + shaded
    }

    /// A Vega expression for what a tooltip adds where a point has an interval.
    private var intervalText: String {
        "(isValid(datum.lower) ? '  (' + \(y.style.expression("datum.lower")) + ' to ' + "
            + "\(y.style.expression("datum.upper")) + ')' : '')"
    }

    // MARK: - Scales and legends

    private var scales: [JSONValue] {
        let places = JSONValue.array(series.indices.map { .integer($0) })
        // After all colours have been used, dashes tell the series apart.
        let dashes = series.enumerated().map { index, series -> JSONValue in
            if series.style == .dashed { return [6, 4] }
            let turn = (series.colour ?? index) / Theme.seriesCount
            return turn == 0 ? [1, 0] : turn == 1 ? [8, 3] : [2, 3]
        }
        let shapes = series.map { JSONValue.string($0.style == .points ? "circle" : "stroke") }
        return [
            axisScale("x", x, domain: xDomain, range: "width"),
            axisScale("y", y, domain: yDomain, range: "height"),
            [
                "name": "colour", "type": "ordinal", "domain": places,
                "range": seriesRange(series.enumerated().map { $1.colour ?? $0 }),
            ],
            ["name": "dash", "type": "ordinal", "domain": places, "range": .array(dashes)],
            ["name": "shape", "type": "ordinal", "domain": places, "range": .array(shapes)],
            [
                "name": "lineWidth", "type": "ordinal", "domain": places,
                "range": .array(series.map { .number($0.lineWidth) }),
            ],
        ]
    }

    private var legends: [JSONValue] {
        let listed = series.indices.filter { series[$0].isListed }
        guard listed.count > 1 else { return [] }
        let isPoint = "scale('shape', datum.value) === 'circle'"
        let symbols: JSONValue = [
            "fill": signal("\(isPoint) ? scale('colour', datum.value) : null"),
            "size": signal("\(isPoint) ? 60 : 240"),
        ]
        return [
            [
                "stroke": "colour", "strokeDash": "dash", "shape": "shape",
                "values": .array(listed.map { .integer($0) }),
                "orient": "bottom", "direction": "horizontal",
                "columns": legendColumns(listed.map { series[$0].name }),
                "labelLimit": signal("containerWidth - 60"),
                "encode": ["labels": legendLabels, "symbols": ["update": symbols]],
            ]
        ]
    }
}
