import Support

/// A quantity over a plane as a surface seen from above and aside.
package struct SurfaceChart: ChartDescription {
    package var title: String
    package var sentence: String
    package var xTitle: String
    package var yTitle: String
    /// What is not finite is left out.
    package var grid: RegularGrid
    /// What the heights measure, always on a linear scale; with limits, what is beyond them is cut
    /// to them.
    package var quantity: ChartAxis
    package var projection: SurfaceProjection

    package init(
        title: String, sentence: String, xTitle: String, yTitle: String, grid: RegularGrid,
        quantity: ChartAxis, projection: SurfaceProjection = SurfaceProjection()
    ) {
        self.title = title
        self.sentence = sentence
        self.xTitle = xTitle
        self.yTitle = yTitle
        self.grid = grid
        self.quantity = quantity
        self.projection = projection
    }

    package var specification: JSONObject {
        let range = range
        let frame = SurfaceFrame(
            projection: projection, x: ChartAxis(xTitle, limits: grid.x),
            y: ChartAxis(yTitle, limits: grid.y), z: range, style: quantity.style)
        let tiles = projection.tiles(of: grid, range: range)
        var colours = quantity
        colours.limits = range
        colours.scale = .linear
        let (colour, legend) = colourScale(
            colours, values: [], ramp: "heat", title: quantity.title)
        return Report.specification(
            height: nil, signals: placing,
            data: [table("tiles", tiles.map(tuple))] + frame.data,
            scales: [colour], legends: [legend],
            marks: SurfaceFrame.lineMarks + [tileMark] + SurfaceFrame.labelMarks,
            maximumWidth: 720)
    }

    /// The values from the ground to the top of the box.
    private var range: ClosedRange<Double> {
        if let limits = quantity.limits { return limits }
        let finite = grid.finiteRange
        return finite.upperBound > finite.lowerBound
            ? finite : finite.lowerBound...(finite.lowerBound + 1)
    }

    /// Signals that place the picture in the plot: pixels a unit, and where its origin is.
    private var placing: [JSONValue] {
        let corners = projection.boxCorners
        let (left, right) = (corners.map(\.x).min() ?? 0, corners.map(\.x).max() ?? 1)
        let (top, bottom) = (corners.map(\.y).min() ?? 0, corners.map(\.y).max() ?? 1)
        // Pixels around the box for the labels of its edges.
        let (besides, below) = (110, 52)
        return [
            ["name": "height", "update": "clamp(containerWidth * 0.72, 260, 480)"],
            [
                "name": "unit",
                "update": .string(
                    "min((width - \(besides)) / \(right - left), "
                        + "(height - \(below)) / \(bottom - top))"),
            ],
            [
                "name": "originX",
                "update": .string("(width - unit * (\(left + right))) / 2"),
            ],
            [
                "name": "originY",
                "update": .string("(height - \(below) - unit * (\(top + bottom))) / 2 + 6"),
            ],
        ]
    }

    private func tuple(_ tile: SurfaceTile) -> JSONValue {
        // A ten-thousandth of the box is a small part of a pixel.
        func short(_ value: Double) -> JSONValue { .number((value * 1e4).rounded() / 1e4) }
        return [
            "p": .array(tile.corners.flatMap { [short($0.x), short($0.y)] }),
            "shade": short(tile.shade), "value": .number(tile.value),
        ]
    }

    private var tileMark: JSONValue {
        func point(_ corner: Int) -> String {
            "(originX + unit * datum.p[\(2 * corner)]) + ',' + "
                + "(originY + unit * datum.p[\(2 * corner + 1)])"
        }
        let path = "'M' + " + (0..<4).map(point).joined(separator: " + 'L' + ") + " + 'Z'"
        func lit(_ component: String) -> String {
            "rgb(scale('value', datum.value)).\(component) * (0.8 + 0.2 * datum.shade)"
        }
        let colour = "'' + rgb(\(lit("r")), \(lit("g")), \(lit("b")))"
        let text = quantity.style.expression("datum.value")
        return .object(
            mark(
                "path", from: "tiles", interactive: true,
                [
                    "path": signal(path), "fill": signal(colour), "stroke": signal(colour),
                    "strokeWidth": constant(0.6), "strokeJoin": constant("round"),
                    "tooltip": signal(text),
                ]))
    }
}
