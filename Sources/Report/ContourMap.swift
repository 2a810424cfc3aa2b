import Support

/// The levels of a quantity over a plane, with paths on it, such as a loss around a trained model
/// with the way training took.
package struct ContourMap: ChartDescription {
    package struct Path: Sendable {
        package var name: String
        package var points: [(x: Double, y: Double)]

        package init(_ name: String, points: [(x: Double, y: Double)]) {
            self.name = name
            self.points = points
        }
    }

    package var title: String
    package var sentence: String
    package var xTitle: String
    package var yTitle: String
    /// What is not finite counts as the greatest value.
    package var grid: RegularGrid
    /// What the grid's values measure; a log scale spaces the levels by ratio.
    package var quantity: ChartAxis
    package var paths: [Path]
    package var levelCount: Int

    package init(
        title: String, sentence: String, xTitle: String, yTitle: String, grid: RegularGrid,
        quantity: ChartAxis, paths: [Path] = [], levelCount: Int = 14
    ) {
        self.title = title
        self.sentence = sentence
        self.xTitle = xTitle
        self.yTitle = yTitle
        self.grid = grid
        self.quantity = quantity
        self.paths = paths
        self.levelCount = levelCount
    }

    package var specification: JSONObject {
        let xAxis = ChartAxis(xTitle, limits: grid.x)
        let yAxis = ChartAxis(yTitle, limits: grid.y)
        let heights = drawableHeights
        let (colour, legend) = colourScale(
            quantity, values: heights, ramp: "terrain", title: quantity.title)
        let pathNames = JSONValue.array(paths.map { .string($0.name) })
        return Report.specification(
            // As high as wide, since both directions are of one kind.
            height: nil,
            signals: [
                ["name": "height", "update": "containerWidth - 48"],
                ["name": "names", "value": pathNames],
                ["name": "xTitle", "value": .string(xTitle)],
                ["name": "yTitle", "value": .string(yTitle)],
            ]
                + tickSignals("x", xAxis, in: grid.x, wideMost: 8, narrowMost: 5)
                + tickSignals("y", yAxis, in: grid.y, wideMost: 8, narrowMost: 8),
            data: [contourData(heights), levelData(heights), table("steps", pathTuples)],
            scales: [
                axisScale("x", xAxis, domain: grid.x, range: "width"),
                axisScale("y", yAxis, domain: grid.y, range: "height"), colour,
                [
                    "name": "colour", "type": "ordinal",
                    "domain": .array(paths.indices.map { .integer($0) }),
                    "range": seriesRange(paths.indices.map { $0 + 1 }),
                ],
            ],
            axes: [
                axis("y", orient: "left", grid: false),
                axis("x", orient: "bottom", title: xTitle, grid: false),
            ],
            legends: (paths.count > 1 ? [pathLegend] : []) + [legend],
            marks: [contourMarks] + pathMarks, heading: yTitle, maximumWidth: 600)
    }

    private var pathLegend: JSONValue {
        [
            "stroke": "colour", "symbolType": "stroke", "orient": "bottom",
            "direction": "horizontal", "columns": legendColumns(paths.map(\.name)),
            "labelLimit": signal("containerWidth - 60"), "encode": ["labels": legendLabels],
        ]
    }

    /// The values, those that cannot be drawn as the greatest that can, row by row from the top.
    private var drawableHeights: [Double] {
        let greatest = grid.values.compactMap(quantity.drawable).max() ?? 1
        return (0..<grid.rows).reversed().flatMap { row in
            (0..<grid.columns).map { quantity.drawable(grid[$0, row]) ?? greatest }
        }
    }

    /// Where the levels are: evenly between the ends of the colours' scale.
    package func thresholds(_ heights: [Double]) -> [Double] {
        let domain = quantity.domain(of: heights, margin: 0)
        return (0..<levelCount).map { level in
            quantity.value(at: Double(level) / Double(levelCount), in: domain)
        }
    }

    private func levelData(_ heights: [Double]) -> JSONValue {
        [
            "name": "contours", "source": "grid",
            "transform": [
                [
                    "type": "isocontour",
                    "thresholds": .array(thresholds(heights).map(JSONValue.number)),
                    // The transform puts a value into the middle of a unit square; here the first
                    // and the last stand at the ends of the axes.
                    "scale": signal("[width / \(grid.columns - 1), height / \(grid.rows - 1)]"),
                    "translate": signal(
                        "[-0.5 * width / \(grid.columns - 1), -0.5 * height / \(grid.rows - 1)]"),
                ],
                // A level that nothing reaches is an empty path, whose bounds Vega takes for
                // endless.
                ["type": "filter", "expr": "length(datum.contour.coordinates) > 0"],
            ],
        ]
    }

    private func contourData(_ heights: [Double]) -> JSONValue {
        table(
            "grid",
            [
                [
                    "width": .integer(grid.columns), "height": .integer(grid.rows),
                    "values": .array(heights.map(JSONValue.number)),
                ]
            ])
    }

    private var contourMarks: JSONValue {
        var contours = mark(
            "path", from: "contours",
            [
                "fill": signal("scale('value', datum.contour.value)"),
                "stroke": signal("isoline"), "strokeWidth": constant(0.75),
            ])
        contours["transform"] = [["type": "geopath", "field": "datum.contour"]]
        return [
            "type": "group", "clip": true, "interactive": false,
            "encode": ["update": ["width": signal("width"), "height": signal("height")]],
            "marks": [.object(contours)],
        ]
    }

    private var pathTuples: [JSONValue] {
        paths.enumerated().flatMap { index, path -> [JSONValue] in
            path.points.enumerated().map { place, point -> JSONValue in
                let finite = point.x.isFinite && point.y.isFinite
                return [
                    "s": .integer(index), "x": optional(finite ? point.x : nil),
                    "y": optional(finite ? point.y : nil), "place": .integer(place),
                    "last": .bool(place == path.points.count - 1),
                ]
            }
        }
    }

    private var pathMarks: [JSONValue] {
        func line(_ colour: JSONValue, width: Double) -> JSONValue {
            .object(
                mark(
                    "line", from: "one",
                    [
                        "x": scaled("x", "x"), "y": scaled("y", "y"),
                        "defined": signal("isValid(datum.x)"), "stroke": colour,
                        "strokeWidth": constant(.number(width)), "strokeJoin": constant("round"),
                        "strokeCap": constant("round"),
                    ]))
        }
        let place = NumberStyle.plain
        let text =
            "names[datum.s] + ', point ' + (datum.place + 1) + '\\n' + "
            + "xTitle + ': ' + \(place.expression("datum.x")) + '\\n' + "
            + "yTitle + ': ' + \(place.expression("datum.y"))"
        let points = mark(
            "symbol", from: "steps", interactive: true,
            [
                "x": scaled("x", "x"), "y": scaled("y", "y"),
                "size": signal("datum.last ? 110 : 30"),
                "shape": signal("datum.last ? 'diamond' : 'circle'"),
                "fill": scaled("colour", "s"), "stroke": signal("surface"),
                "strokeWidth": constant(1.25), "tooltip": signal(text),
                "opacity": signal("isValid(datum.x) ? 1 : 0"),
            ])
        return [
            [
                "type": "group", "interactive": false,
                "from": ["facet": ["name": "one", "data": "steps", "groupby": "s"]],
                "marks": [
                    line(signal("surface"), width: 4.5), line(scaled("colour", "s"), width: 2),
                ],
            ],
            .object(points),
        ]
    }
}
