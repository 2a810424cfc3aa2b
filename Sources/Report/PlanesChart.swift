import Support

/// The levels of a quantity over several planes, as small maps with the same colors.
package struct PlanesChart: ChartDescription {
    /// A plane with the path of a run on it.
    package struct Plane: Sendable {
        package let name: String
        package let grid: RegularGrid
        package let path: [(x: Double, y: Double)]

        package init(_ name: String, grid: RegularGrid, path: [(x: Double, y: Double)]) {
            self.name = name
            self.grid = grid
            self.path = path
        }
    }

    package let chart: Chart

    /// Creates a chart with a map of each plane.
    ///
    /// - Parameters:
    ///   - quantity: the quantity of the values; a log scale spaces the levels by ratio. A value
    ///     that is not finite counts as the greatest.
    ///   - planes: planes whose grids have the same ends and numbers of points.
    package init(title: String, sentence: String, quantity: ChartAxis, planes: [Plane]) {
        precondition(!planes.isEmpty, "there must be a plane")
        let all = planes.flatMap(\.grid.values)
        let greatest = all.compactMap(quantity.drawable).max() ?? 1
        var template = ChartTemplate(PackageResources.planes_vg_json)
        template.setPlane(planes[0].grid, xTitle: "", yTitle: "")
        template.setSignal("values", to: FittedAxis(quantity, to: all).signal(padding: 0))
        template.setScale("value", to: quantity.scale)
        template.setScale("level", to: quantity.scale)
        template.setData(
            "grids",
            to: planes.enumerated().map { index, plane in
                guard
                    case .object(var row) = plane.grid.row({
                        .number(quantity.drawable($0) ?? greatest)
                    })
                else { return .null }
                row["plane"] = .integer(index)
                row["name"] = .string(plane.name)
                return .object(row)
            })
        template.setData(
            "steps",
            to: planes.enumerated().flatMap { index, plane in
                plane.path.enumerated().map { place, point in
                    [
                        "plane": .integer(index), "x": .number(point.x), "y": .number(point.y),
                        "place": .integer(place + 1),
                        "last": .bool(place == plane.path.count - 1),
                    ]
                }
            })
        template.setTable(
            "grids",
            [
                .init("plane", "plane", names: planes.map(\.name)), .init("x", "x"),
                .init("y", "y"), .init(quantity.title, "value"), .init("place", "place"),
            ])
        chart = template.chart(title: title, sentence: sentence)
    }
}
