import Compute

/// The directions of the matrices that a rule orthogonalizes, and the memory for the iteration.
///
/// `Optimizer.beginStep` writes the directions of the optimizer's shard. The owner of all directions of a
/// matrix then calls `orthogonalize`, and the updates move along the result.
package struct MatrixDirections: Sendable {
    /// The matrices, in the order of the arena.
    package let matrices: [LayerMatrix]
    /// The directions, one value for each element of the shard, in its order. Those of other
    /// tensors hold other state.
    package let shard: Buffer<Float>
    private let iteration: NewtonSchulz

    init(matrices: [LayerMatrix], shard: Buffer<Float>) {
        self.matrices = matrices
        self.shard = shard
        iteration = NewtonSchulz(shapes: matrices.map { ($0.rows, $0.columns) })
    }

    /// The memory for the iteration, in bytes.
    package var bytes: Int { iteration.bytes }

    /// Orthogonalizes the weights of one matrix, whose first element is at `base`.
    package func orthogonalize(
        _ index: Int, at base: UnsafeMutablePointer<Float>, engine: ComputeEngine
    ) {
        for weight in matrices[index].weights(at: base) {
            iteration.orthogonalize(weight, engine: engine)
        }
    }

    /// Orthogonalizes all matrices, if the shard is the whole arena.
    package func orthogonalize(engine: ComputeEngine) {
        for (index, matrix) in matrices.enumerated() {
            orthogonalize(index, at: shard.base + matrix.tensor.offset, engine: engine)
        }
    }

    /// Records the scratch memory that orthogonalizing takes.
    package func record(on engine: ComputeEngine) { iteration.record(on: engine) }
}
