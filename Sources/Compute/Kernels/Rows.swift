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
