/// The number format of the operands of matrix products.
package enum Precision: String, CaseIterable, Sendable {
    case fp32
    /// The upper half of fp32's bits: the same range, with 8 bits of precision.
    case bf16

    /// The size of a number in bytes.
    @inline(__always)
    package var bytes: Int { self == .fp32 ? 4 : 2 }
}

/// A view of `rows` x `columns` numbers of either precision whose rows start `stride` numbers
/// apart; it owns no memory.
///
/// Matrix products read operands; all other kernels use a `Matrix` in fp32.
@frozen package struct Operand: @unchecked Sendable {
    package let base: UnsafeMutableRawPointer
    package let rows: Int
    package let columns: Int
    package let stride: Int
    package let precision: Precision

    /// Creates a view of memory; `stride` is the number of columns unless it is given.
    package init(
        _ base: UnsafeMutableRawPointer, rows: Int, columns: Int, stride: Int? = nil,
        precision: Precision
    ) {
        self.base = base
        self.rows = rows
        self.columns = columns
        self.stride = stride ?? columns
        self.precision = precision
    }

    /// Returns the address of a number in a row, by default the first.
    @inline(__always)
    package func row(_ index: Int, column: Int = 0) -> UnsafeMutableRawPointer {
        base + (index * stride + column) * precision.bytes
    }

    /// Returns a range of the rows.
    package func rows(_ range: Range<Int>) -> Operand {
        Operand(
            row(range.lowerBound), rows: range.count, columns: columns, stride: stride,
            precision: precision)
    }

    /// Returns a range of the columns.
    package func columns(_ range: Range<Int>) -> Operand {
        Operand(
            row(0, column: range.lowerBound), rows: rows, columns: range.count, stride: stride,
            precision: precision)
    }

    /// The numbers as a matrix of floats; nil if they are not floats.
    package var matrix: Matrix? {
        guard precision == .fp32 else { return nil }
        return Matrix(
            base.assumingMemoryBound(to: Float.self), rows: rows, columns: columns, stride: stride)
    }
}

extension Matrix {
    /// The same numbers as an operand.
    package var operand: Operand {
        Operand(base, rows: rows, columns: columns, stride: stride, precision: .fp32)
    }
}
