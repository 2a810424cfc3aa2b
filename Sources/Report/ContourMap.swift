import Support

/// The levels of a quantity over a plane, with paths on it, such as the loss around a trained model
/// and the path that training took.
package struct ContourMap: ChartDescription {
    /// A line through the plane, such as the path of a run.
    package struct Path: Sendable {
        package var name: String
        package var points: [(x: Double, y: Double)]

        package init(_ name: String, points: [(x: Double, y: Double)]) {
            self.name = name
            self.points = points
        }
    }

    package let chart: Chart

    /// Creates a map of contour lines.
    ///
    /// - Parameters:
    ///   - grid: the values; a value that is not finite counts as the greatest.
    ///   - quantity: the quantity of the values; a log scale spaces the levels by ratio.
    package init(
        title: String, sentence: String, xTitle: String, yTitle: String, grid: RegularGrid,
        quantity: ChartAxis, paths: [Path] = []
    ) {
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
        template.setTable(
            "grid",
            [
                .init(xTitle, "x"), .init(yTitle, "y"), .init(quantity.title, "value"),
                .init("path", "s", names: paths.map(\.name)), .init("place", "place"),
            ])
        template.setData("steps", to: paths.enumerated().flatMap { $1.rows($0) })
        if paths.count < 2 { template.removeFirstLegend() }
        chart = template.chart(title: title, sentence: sentence)
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
