/// A view of `rows` x `columns` floats whose rows start `stride` elements apart; it owns no memory.
@frozen package struct Matrix: @unchecked Sendable {
    package let base: UnsafeMutablePointer<Float>
    package let rows: Int
    package let columns: Int
    package let stride: Int

    /// Creates a view of memory; `stride` is the number of columns unless it is given.
    package init(
        _ base: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil
    ) {
        self.base = base
        self.rows = rows
        self.columns = columns
        self.stride = stride ?? columns
    }

    /// Returns the first element of a row.
    @inline(__always)
    package func row(_ index: Int) -> UnsafeMutablePointer<Float> { base + index * stride }

    /// Returns a range of the rows.
    package func rows(_ range: Range<Int>) -> Matrix {
        Matrix(row(range.lowerBound), rows: range.count, columns: columns, stride: stride)
    }

    /// Returns a range of the columns.
    package func columns(_ range: Range<Int>) -> Matrix {
        Matrix(base + range.lowerBound, rows: rows, columns: range.count, stride: stride)
    }
}

/// A view of `count` contiguous floats; it owns no memory.
@frozen package struct Vector: @unchecked Sendable {
    package let base: UnsafeMutablePointer<Float>
    package let count: Int

    package init(_ base: UnsafeMutablePointer<Float>, count: Int) {
        self.base = base
        self.count = count
    }
}

extension Vector {
    /// The elements, as a Swift collection.
    package var elements: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: base, count: count)
    }
}

extension Buffer<Float> {
    /// Returns a tensor's memory as a matrix: all axes but the last are rows, unless `rows` are
    /// given because padding follows them.
    package func matrix(_ tensor: NamedTensor, rows: Int? = nil) -> Matrix {
        let columns = tensor.shape.last ?? 1
        return Matrix(
            base + tensor.offset, rows: rows ?? tensor.count / max(1, columns), columns: columns)
    }

    /// Returns a range of the elements as a vector.
    package func vector(_ range: Range<Int>) -> Vector {
        Vector(base + range.lowerBound, count: range.count)
    }

    /// Returns a tensor's memory as a vector.
    package func vector(_ tensor: NamedTensor) -> Vector {
        Vector(base + tensor.offset, count: tensor.count)
    }
}
