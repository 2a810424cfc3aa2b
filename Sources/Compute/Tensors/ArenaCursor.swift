/// Hands out consecutive views of one arena of floats.
///
/// Each view starts on a multiple of 16 floats, like the tensors of an `ArenaLayout`.
package struct ArenaCursor {
    private let base: UnsafeMutablePointer<Float>
    /// The number of floats that have been handed out, including gaps.
    package private(set) var count = 0

    init(_ base: UnsafeMutablePointer<Float>) { self.base = base }

    /// Takes `count` floats.
    package mutating func vector(_ count: Int) -> Vector {
        let alignment = ArenaLayout.alignment
        let start = self.count
        self.count += (count + alignment - 1) / alignment * alignment
        return Vector(base + start, count: count)
    }

    /// Takes a matrix of floats.
    package mutating func matrix(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(vector(rows * columns).base, rows: rows, columns: columns)
    }

    /// Takes a matrix of numbers of a precision.
    package mutating func operand(_ rows: Int, _ columns: Int, _ precision: Precision) -> Operand {
        let floats = rows * columns * precision.bytes / MemoryLayout<Float>.stride
        return Operand(vector(floats).base, rows: rows, columns: columns, precision: precision)
    }

    /// Takes two sets of views that are never in use at once, both in the same memory.
    package mutating func overlay<First, Second>(
        _ first: (inout ArenaCursor) -> First, _ second: (inout ArenaCursor) -> Second
    ) -> (First, Second) {
        let start = count
        let firstViews = first(&self)
        let end = count
        count = start
        let secondViews = second(&self)
        count = max(count, end)
        return (firstViews, secondViews)
    }
}
