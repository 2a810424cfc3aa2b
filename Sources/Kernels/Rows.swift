import Tensors

// Where a view's rows begin. These stand here and not beside the views because a function of
// another module is called, not inlined.

extension Matrix {
    /// The first element of a row.
    @inline(__always)
    package func row(_ index: Int) -> UnsafeMutablePointer<Float> { base + index * stride }
}

extension Operand {
    /// The first number of a row, or the one in a column of it.
    @inline(__always)
    package func row(_ index: Int, column: Int = 0) -> UnsafeMutableRawPointer {
        let bytes =
            switch precision {
            case .fp32: 4
            case .bf16: 2
            }
        return base + (index * stride + column) * bytes
    }
}

/// Calls `body` with the row, start and width of each vector of a matrix.
@inline(__always)
func forEachVector(
    of matrix: Matrix, _ body: (_ row: Int, _ start: Int, _ width: Int) -> Void
) {
    for row in 0..<matrix.rows {
        forEachVector(matrix.columns) { start, width in body(row, start, width) }
    }
}
