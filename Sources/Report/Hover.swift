import Support

/// What a chart with data `points` (fields x, y and s, the series) shows under the pointer: a hair
/// line, and of each series the point next to it with its numbers.
enum Hover {
    static let signals: [JSONValue] = [
        [
            "name": "hover", "value": nil,
            "on": [
                [
                    "events": "mousemove, touchstart, touchmove",
                    "update": """
                    x() >= 0 && x() <= width && y() >= 0 && y() <= height ? x() : null
                    """,
                ],
                ["events": "mouseout", "update": "null"],
            ],
        ]
    ]

    /// The points next to the pointer, one a series, with their text for the tooltip.
    ///
    /// - Parameters:
    ///   - value: a Vega expression for the text of a point's value.
    ///   - interval: one for what follows it.
    static func data(value: String, interval: String = "''") -> [JSONValue] {
        [
            [
                "name": "near", "source": "points",
                "transform": [
                    ["type": "filter", "expr": "hover !== null && isValid(datum.y)"],
                    [
                        "type": "formula", "as": "distance",
                        "expr": "abs(scale('x', datum.x) - hover)",
                    ],
                    [
                        "type": "joinaggregate", "ops": ["min"], "fields": ["distance"],
                        "as": ["nearest"],
                    ],
                    // A series that has no point about there is left out.
                    ["type": "filter", "expr": "datum.distance <= datum.nearest + 4"],
                    [
                        "type": "aggregate", "groupby": ["s"], "ops": ["argmin"],
                        "fields": ["distance"], "as": ["point"],
                    ],
                    ["type": "formula", "as": "x", "expr": "datum.point.x"],
                    ["type": "formula", "as": "y", "expr": "datum.point.y"],
                    ["type": "formula", "as": "top", "expr": "datum.point.top"],
                    ["type": "formula", "as": "lower", "expr": "datum.point.lower"],
                    ["type": "formula", "as": "upper", "expr": "datum.point.upper"],
                    [
                        "type": "formula", "as": "label",
                        "expr": .string("names[datum.s] + ': ' + \(value) + \(interval)"),
                    ],
                ],
            ]
        ]
    }

    /// - Parameters:
    ///   - x: how the x axis reads.
    ///   - y: the field of `near` with the place of the ring.
    static func marks(x: NumberStyle, y: String = "y") -> [JSONValue] {
        let hairline = mark(
            "rule", from: "near",
            [
                "x": scaled("x", "x"), "y": constant(0), "y2": signal("height"),
                "stroke": signal("muted"), "strokeWidth": constant(1),
                "strokeOpacity": constant(0.5),
            ])
        let ring = mark(
            "symbol", from: "near",
            [
                "x": scaled("x", "x"), "y": scaled("y", y), "size": constant(64),
                "fill": signal("surface"), "stroke": scaled("colour", "s"),
                "strokeWidth": constant(2),
            ])
        let place = x.expression("data('near')[0].x")
        let text =
            "hover === null || !length(data('near')) ? '' : "
            + "xTitle + ': ' + \(place) + '\\n' + join(pluck(data('near'), 'label'), '\\n')"
        let cover = mark(
            "rect", interactive: true,
            [
                "x": constant(0), "x2": signal("width"), "y": constant(0), "y2": signal("height"),
                "fill": constant("transparent"), "tooltip": signal(text),
            ])
        return [.object(hairline), .object(ring), .object(cover)]
    }
}
