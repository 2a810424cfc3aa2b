import Support

extension LineChart {
    /// Shaded stretches, behind everything.
    var spanMarks: [JSONValue] {
        [
            .object(
                mark(
                    "rect", from: "spans",
                    [
                        "x": scaled("x", "from"), "x2": scaled("x", "to"),
                        "y": constant(0), "y2": signal("height"),
                        "fill": signal("accent"), "fillOpacity": constant(0.12),
                    ]))
        ]
    }

    /// Dashed horizontal rules.
    var levelMarks: [JSONValue] {
        [
            .object(
                mark(
                    "rule", from: "levels",
                    [
                        "x": constant(0), "x2": signal("width"), "y": scaled("y", "y"),
                        "stroke": signal("muted"), "strokeDash": constant([4, 4]),
                    ]))
        ]
    }

    /// A Vega expression for the height at which a marker's label stands.
    private var top: String { "(\(isNarrow) ? datum.narrow : datum.wide)" }

    /// Vertical rules, up to their labels.
    var ruleMarks: [JSONValue] {
        [
            .object(
                mark(
                    "rule", from: "markers",
                    [
                        "x": scaled("x", "middle"), "y": signal("\(top) + 5"),
                        "y2": signal("height"), "stroke": signal("accent"),
                        "strokeWidth": constant(1.25),
                    ]))
        ]
    }

    /// The labels of markers and spans above the plot, and of levels on their rules.
    var labelMarks: [JSONValue] {
        let half = "min(datum.half, width / 2)"
        let x = "clamp(scale('x', datum.middle), \(half), width - \(half))"
        let above: JSONObject = [
            "x": signal(x), "y": signal(top), "text": ["field": "label"],
            "align": constant("center"), "baseline": constant("bottom"),
            "limit": signal("width"),
        ]
        let onRule: JSONObject = [
            "x": signal("width - 4"), "y": ["scale": "y", "field": "y", "offset": -4],
            "text": ["field": "label"], "align": constant("right"),
            "baseline": constant("bottom"), "limit": signal("width - 8"),
        ]
        return haloed(from: "labels", above, fill: signal("accent"))
            + haloed(from: "levels", onRule, fill: signal("muted"))
    }

    /// Bands, lines, whiskers and points, each series over the ones before it.
    var seriesMarks: [JSONValue] {
        let colour = scaled("colour", "s")
        let band = mark(
            "area", from: "one",
            [
                "x": scaled("x", "x"), "y": scaled("y", "lower"), "y2": scaled("y", "upper"),
                "defined": signal("isValid(datum.lower)"),
                "fill": colour, "fillOpacity": constant(0.18),
            ])
        let line = mark(
            "line", from: "one",
            [
                "x": scaled("x", "x"), "y": scaled("y", "y"),
                "defined": signal("isValid(datum.y)"),
                "stroke": colour, "strokeDash": scaled("dash", "s"),
                "strokeWidth": scaled("lineWidth", "s"), "strokeCap": constant("round"),
                "strokeJoin": constant("round"),
            ])
        let lines: JSONValue = [
            "type": "group", "interactive": false,
            "from": ["facet": ["name": "one", "data": "lined", "groupby": "s"]],
            "marks": [.object(band), .object(line)],
        ]
        // What is not there is not seen, but has a place: far outside it would make room for
        // itself.
        let place = { (field: String) in
            signal("isValid(datum.\(field)) ? scale('y', datum.\(field)) : 0")
        }
        let whisker = mark(
            "rule", from: "whiskered",
            [
                "x": scaled("x", "x"), "y": place("lower"), "y2": place("upper"),
                "stroke": colour, "strokeWidth": constant(1.5),
                "opacity": signal("isValid(datum.lower) ? 1 : 0"),
            ])
        let point = mark(
            "symbol", from: "dotted",
            [
                "x": scaled("x", "x"), "y": place("y"), "size": constant(44),
                "fill": colour, "stroke": signal("surface"), "strokeWidth": constant(1),
                "opacity": signal("isValid(datum.y) ? 1 : 0"),
            ])
        // What lies beyond limits that somebody chose is cut off; without them nothing does, and a
        // point at the edge stays whole.
        return [
            [
                "type": "group", "interactive": false,
                "clip": .bool(x.limits != nil || y.limits != nil),
                "encode": [
                    "update": ["width": signal("width"), "height": signal("height")]
                ],
                "marks": [lines, .object(whisker), .object(point)],
            ]
        ]
    }
}
