import Compute
import Recipes

/// The tied head: logits = x wte^T and their cross-entropy, by chunks of rows.
///
/// Only one chunk's logits exist at a time; with a vocabulary of 50,000 they would otherwise be the
/// largest thing in memory. x is (N, C), the table wte (V, C) with V padded, logits (rows, V).
final class Head {
    private let configuration: GPTConfiguration
    private let engine: ComputeEngine
    private let chunks: [Range<Int>]
    private let losses: Buffer<Double>

    init(_ configuration: GPTConfiguration, rows: Int, engine: ComputeEngine) {
        self.configuration = configuration
        self.engine = engine
        let size = configuration.logitRows(of: rows)
        chunks = stride(from: 0, to: rows, by: size).map { $0..<min(rows, $0 + size) }
        losses = Buffer(count: rows)
    }

    /// Bytes of its memory, which the logits are no part of.
    var bytes: Int { losses.bytes.count }

    /// Notes the scratch memory that backward takes, and loss with it.
    func note(
        _ input: Operand, table: Operand, logitGradient: Operand, in demand: inout ScratchDemand
    ) {
        guard let chunk = chunks.first else { return }
        let rows = input.rows(chunk)
        let gradient = logitGradient.rows(0..<chunk.count)
        demand.noteProduct(rows, table, .transposed, hasEpilogue: false, engine: engine)
        demand.noteProduct(gradient, table, hasEpilogue: false, engine: engine)
        demand.noteTransposedProduct(gradient, rows, columnSums: false, engine: engine)
    }

    /// The logits of all rows.
    func logits(_ input: Operand, table: Operand, into logits: Matrix) {
        engine.multiply(input, table, .transposed, into: logits)
    }

    /// The summed loss of all rows, in nats.
    func loss(
        _ input: Operand, table: Operand, targets: UnsafePointer<Int32>, logits: Matrix
    ) -> Double {
        for chunk in chunks {
            let chunkLogits = logits.rows(0..<chunk.count)
            engine.multiply(input.rows(chunk), table, .transposed, into: chunkLogits)
            score(chunk, chunkLogits, targets, gradient: nil, gradientScale: 1)
        }
        return losses.elements.reduce(0, +)
    }

    /// The summed loss, the input's gradient (N, C), and the table's, written or added to.
    ///
    /// `logitGradient` may lie in the memory of the `logits`.
    func backward(
        _ input: Operand, table: Operand, targets: UnsafePointer<Int32>, gradientScale: Float,
        logits: Matrix, logitGradient: Operand, inputGradient: Matrix, tableGradient: Matrix,
        accumulates: Bool
    ) -> Double {
        for (index, chunk) in chunks.enumerated() {
            let chunkLogits = logits.rows(0..<chunk.count)
            engine.multiply(input.rows(chunk), table, .transposed, into: chunkLogits)
            let gradient = logitGradient.rows(0..<chunk.count)
            score(chunk, chunkLogits, targets, gradient: gradient, gradientScale: gradientScale)
            engine.multiply(gradient, table, into: inputGradient.rows(chunk))
            engine.multiplyTransposed(
                gradient, input.rows(chunk), into: tableGradient,
                accumulates: accumulates || index > 0)
        }
        return losses.elements.reduce(0, +)
    }

    private func score(
        _ chunk: Range<Int>, _ logits: Matrix, _ targets: UnsafePointer<Int32>,
        gradient: Operand?, gradientScale: Float
    ) {
        crossEntropy(
            logits, targets: targets + chunk.lowerBound,
            vocabularySize: configuration.vocabularySize,
            losses: losses.base + chunk.lowerBound, gradient: gradient,
            gradientScale: gradientScale, engine: engine)
    }
}
