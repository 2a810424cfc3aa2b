// The start of a view's row, computed by functions that are inlined into the kernels' loops.

extension Matrix {
    /// Returns the first element of a row.
    @inline(__always)
    package func row(_ index: Int) -> UnsafeMutablePointer<Float> { base + index * stride }
}

extension Operand {
    /// Returns the address of a number in a row, by default the first.
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
