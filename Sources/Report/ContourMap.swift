import Support

/// The levels of a quantity over a plane, with paths on it, such as the loss around a trained model
/// and the path that training took.
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
    /// The values; a value that is not finite counts as the greatest.
    package var grid: RegularGrid
    /// The quantity of the grid's values; a log scale spaces the levels by ratio.
    package var quantity: ChartAxis
    package var paths: [Path]

    package init(
        title: String, sentence: String, xTitle: String, yTitle: String, grid: RegularGrid,
        quantity: ChartAxis, paths: [Path] = []
    ) {
        self.title = title
        self.sentence = sentence
        self.xTitle = xTitle
        self.yTitle = yTitle
        self.grid = grid
        self.quantity = quantity
        self.paths = paths
    }

    package var specification: JSONObject {
        let values = FittedAxis(quantity, to: grid.values)
        let greatest = grid.values.compactMap(quantity.drawable).max() ?? 1
        var template = ChartTemplate(PackageResources.contours_vg_json)
        template.setPlane(grid, xTitle: xTitle, yTitle: yTitle)
        template.setSignal("values", to: values.signal(padding: 0))
        template.setScale("value", to: quantity.scale)
        template.setScale("level", to: quantity.scale)
        template.setData(
            "grid", to: [grid.row { .number(quantity.drawable($0) ?? greatest) }])
        template.setData(
            "paths",
            to: paths.enumerated().map { ["s": .integer($0), "name": .string($1.name)] })
        template.setData("steps", to: paths.enumerated().flatMap { $1.rows($0) })
        if paths.count < 2 { template.removeFirstLegend() }
        return template.specification
    }
}

extension ContourMap.Path {
    /// Returns the points as rows of the template's data; a point that is not finite leaves a gap.
    fileprivate func rows(_ index: Int) -> [JSONValue] {
        points.enumerated().map { place, point in
            let isFinite = point.x.isFinite && point.y.isFinite
            return [
                "s": .integer(index), "x": isFinite ? .number(point.x) : .null,
                "y": isFinite ? .number(point.y) : .null, "place": .integer(place + 1),
                "last": .bool(place == points.count - 1),
            ]
        }
    }
}

extension ChartTemplate {
    /// Fills the signals of a plane's two axes.
    mutating func setPlane(_ grid: RegularGrid, xTitle: String, yTitle: String) {
        for (name, title, range) in [("xAxis", xTitle, grid.x), ("yAxis", yTitle, grid.y)] {
            let axis = FittedAxis(ChartAxis(title, limits: range), to: [])
            setSignal(name, to: axis.signal(padding: 0))
        }
    }
}
