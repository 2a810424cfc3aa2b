import Support

/// A quantity over a plane, drawn as a surface in perspective, with paths on it.
package struct SurfaceChart: ChartDescription {
    package let chart: Chart

    /// Creates a chart of a surface.
    ///
    /// - Parameters:
    ///   - grid: the values; a value that is not finite leaves a hole.
    ///   - quantity: the quantity of the heights, on a linear scale; values are clamped to its
    ///     limits.
    ///   - paths: paths that lie on the surface; points beyond the grid leave gaps.
    package init(
        title: String, sentence: String, xTitle: String, yTitle: String, grid: RegularGrid,
        quantity: ChartAxis, paths: [ContourMap.Path] = []
    ) {
        var template = ChartTemplate(PackageResources.surface_vg_json)
        template.setData(
            "paths",
            to: paths.enumerated().map { ["s": .integer($0), "name": .string($1.name)] })
        template.setData(
            "track",
            to: paths.enumerated().flatMap { index, path in
                path.points.enumerated().map { place, point in
                    let (x, y) = grid.fractions(point)
                    return [
                        "s": .integer(index), "x": .number(x - 0.5), "y": .number(y - 0.5),
                        "value": grid.value(at: point).map(JSONValue.number) ?? .null,
                        "last": .bool(place == path.points.count - 1),
                    ]
                }
            })
        if paths.count < 2 { template.removeFirstLegend() }
        template.setPlane(grid, xTitle: xTitle, yTitle: yTitle)
        template.setSignal("values", to: FittedAxis(quantity, to: grid.values).signal(padding: 0))
        template.setData(
            "grid", to: [grid.row { quantity.drawable($0).map(JSONValue.number) ?? .null }])
        template.setTable(
            "grid", [.init(xTitle, "x"), .init(yTitle, "y"), .init(quantity.title, "value")])
        chart = template.chart(title: title, sentence: sentence)
    }
}

/// Values over a regular grid of two coordinates, such as losses around a model.
package struct RegularGrid: Sendable {
    /// The coordinates of the first and the last column, and of the first and the last row.
    package let x: ClosedRange<Double>
    package let y: ClosedRange<Double>
    package let columns: Int
    package let rows: Int
    /// The values row by row, in ascending order of y.
    package let values: [Double]

    package init(
        x: ClosedRange<Double>, y: ClosedRange<Double>, columns: Int, rows: Int, values: [Double]
    ) {
        precondition(columns >= 2 && rows >= 2, "A grid has at least two columns and two rows.")
        precondition(values.count == columns * rows, "A grid has a value for each place.")
        self.x = x
        self.y = y
        self.columns = columns
        self.rows = rows
        self.values = values
    }

    /// Returns a point's distances from the first column and row, as fractions of the grid.
    fileprivate func fractions(_ point: (x: Double, y: Double)) -> (x: Double, y: Double) {
        (
            (point.x - x.lowerBound) / (x.upperBound - x.lowerBound),
            (point.y - y.lowerBound) / (y.upperBound - y.lowerBound)
        )
    }

    /// Returns the value at a point between those of its four neighbors; nil beyond the grid or
    /// next to a value that is not finite.
    package func value(at point: (x: Double, y: Double)) -> Double? {
        let part = fractions(point)
        guard 0...1 ~= part.x, 0...1 ~= part.y else { return nil }
        let (right, up) = (part.x * Double(columns - 1), part.y * Double(rows - 1))
        let (column, row) = (min(Int(right), columns - 2), min(Int(up), rows - 2))
        /// Returns the number between two others; the second does not matter at the first's place.
        func between(_ first: Double, _ second: Double, _ part: Double) -> Double {
            part == 0 ? first : first * (1 - part) + second * part
        }
        func along(_ row: Int) -> Double {
            let first = row * columns + column
            return between(values[first], values[first + 1], right - Double(column))
        }
        let value = between(along(row), along(row + 1), up - Double(row))
        return value.isFinite ? value : nil
    }

    /// Returns the grid as a row of a template's data, with the row of the greatest y first.
    func row(_ value: (Double) -> JSONValue) -> JSONValue {
        let values = (0..<rows).reversed().flatMap { row in
            self.values[row * columns..<(row + 1) * columns].map(value)
        }
        return ["width": .integer(columns), "height": .integer(rows), "values": .array(values)]
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
