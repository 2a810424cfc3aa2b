extension Matrix {
    /// The axis of a matrix that numbers its filters.
    package enum FilterAxis: Sendable { case rows, columns }

    /// Scales each filter, a row or a column, to the length of the same filter of another matrix.
    /// A filter of zeros stays zero.
    package func scaleFilters(_ axis: FilterAxis, toLengthsOf other: Matrix) {
        let count = axis == .rows ? rows : columns
        var own = [Double](repeating: 0, count: count)
        var wanted = [Double](repeating: 0, count: count)
        for row in 0..<rows {
            let (values, others) = (self.row(row), other.row(row))
            for column in 0..<columns {
                let filter = axis == .rows ? row : column
                own[filter] += Double(values[column]) * Double(values[column])
                wanted[filter] += Double(others[column]) * Double(others[column])
            }
        }
        let scales = zip(own, wanted).map { Float($0 > 0 ? ($1 / $0).squareRoot() : 0) }
        for row in 0..<rows {
            let values = self.row(row)
            for column in 0..<columns { values[column] *= scales[axis == .rows ? row : column] }
        }
    }
}
