/// A tensor of the arena that holds the weight of a layer, or several weights side by side.
package struct LayerMatrix: Sendable, Equatable {
    package let tensor: NamedTensor
    /// The number of weights, which have the same number of columns; 3 for the queries, keys and
    /// values of GPT-2.
    package let parts: Int

    package init(_ tensor: NamedTensor, parts: Int = 1) {
        precondition(
            tensor.shape.count == 2 && tensor.shape[1] % parts == 0,
            "\(tensor.name) is not \(parts) matrices")
        self.tensor = tensor
        self.parts = parts
    }

    /// The number of rows of each weight.
    package var rows: Int { tensor.shape[0] }
    /// The number of columns of each weight.
    package var columns: Int { tensor.shape[1] / parts }
    /// The number of elements of the tensor, rounded up to the alignment of the arena.
    package var paddedCount: Int {
        (tensor.count + ArenaLayout.alignment - 1) / ArenaLayout.alignment * ArenaLayout.alignment
    }
    /// The elements of the tensor and of the gap after it in the arena.
    package var range: Range<Int> { tensor.offset..<tensor.offset + paddedCount }

    /// Returns the weights, given the address of the tensor's first element.
    package func weights(at base: UnsafeMutablePointer<Float>) -> [Matrix] {
        let tensor = Matrix(base, rows: rows, columns: columns * parts)
        return (0..<parts).map { tensor.columns($0 * columns..<($0 + 1) * columns) }
    }
}
