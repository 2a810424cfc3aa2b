import Support

/// A quantity over a plane, drawn as a surface in perspective.
package struct SurfaceChart: ChartDescription {
    package let chart: Chart

    /// - Parameters:
    ///   - grid: the values; a value that is not finite leaves a hole.
    ///   - quantity: the quantity of the heights, on a linear scale; values are clamped to its
    ///     limits.
    package init(
        title: String, sentence: String, xTitle: String, yTitle: String, grid: RegularGrid,
        quantity: ChartAxis
    ) {
        var template = ChartTemplate(PackageResources.surface_vg_json)
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
