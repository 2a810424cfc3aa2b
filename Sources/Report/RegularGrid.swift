/// Values over a regular grid of two coordinates, such as losses around a model.
package struct RegularGrid: Sendable {
    /// The coordinates of the first and the last column, and of the first and the last row.
    package let x: ClosedRange<Double>
    package let y: ClosedRange<Double>
    package let columns: Int
    package let rows: Int
    /// (rows, columns), row by row, y rising with the row.
    package let values: [Double]

    package init(
        x: ClosedRange<Double>, y: ClosedRange<Double>, columns: Int, rows: Int, values: [Double]
    ) {
        precondition(columns >= 2 && rows >= 2, "a grid has at least two columns and two rows")
        precondition(values.count == columns * rows, "a grid has a value for each place")
        self.x = x
        self.y = y
        self.columns = columns
        self.rows = rows
        self.values = values
    }

    subscript(column: Int, row: Int) -> Double { values[row * columns + column] }

    /// The least and the greatest finite value; 0 to 1 where none is finite.
    var finiteRange: ClosedRange<Double> {
        let finite = values.filter(\.isFinite)
        guard let low = finite.min(), let high = finite.max() else { return 0...1 }
        return low...high
    }
}
