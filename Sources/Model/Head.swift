import Kernels
import Tensors

/// The tied head: logits = x wte^T and their cross-entropy, by chunks of rows.
///
/// Only one chunk's logits exist at a time; with a vocabulary of 50,000 they would otherwise be the
/// largest thing in memory. x is (N, C), the table wte (V, C) with V padded, logits (rows, V).
final class Head {
    private let configuration: GPTConfiguration
    private let engine: ComputeEngine
    private let chunks: [Chunk]
    private let losses: Buffer<Double>

    /// A run of rows and its planned products.
    private struct Chunk {
        let rows: Range<Int>
        let plan: Plan
    }

    private final class Plan {
        let logits: MatrixProduct
        let inputGradient: MatrixProduct
        let tableGradient: MatrixProduct
        let accumulatingTableGradient: MatrixProduct

        init(rows: Int, vocabulary v: Int, width c: Int, engine: ComputeEngine) {
            logits = MatrixProduct(
                .init(rows: rows, columns: v, inner: c, transposesB: true), engine: engine)
            inputGradient = MatrixProduct(
                .init(rows: rows, columns: c, inner: v), engine: engine)
            var table = MatrixProduct.Shape(rows: v, columns: c, inner: rows, transposesA: true)
            tableGradient = MatrixProduct(table, engine: engine)
            table.accumulates = true
            accumulatingTableGradient = MatrixProduct(table, engine: engine)
        }
    }

    /// Rows of a chunk: all of them while their logits are at most 16 MiB, else at least 64.
    static func chunkRows(rows: Int, vocabulary: Int) -> Int {
        min(rows, max(64, (4 << 20) / vocabulary))
    }

    init(_ configuration: GPTConfiguration, rows: Int, engine: ComputeEngine) {
        self.configuration = configuration
        self.engine = engine
        let v = configuration.paddedVocabularySize
        let size = Self.chunkRows(rows: rows, vocabulary: v)
        var plans: [Int: Plan] = [:]
        chunks = stride(from: 0, to: rows, by: size).map { start in
            let range = start..<min(rows, start + size)
            let plan =
                plans[range.count]
                ?? Plan(
                    rows: range.count, vocabulary: v, width: configuration.width, engine: engine)
            plans[range.count] = plan
            return Chunk(rows: range, plan: plan)
        }
        losses = Buffer(count: rows)
    }

    /// The logits of all rows.
    func logits(_ input: Matrix, table: Matrix, into logits: Matrix) {
        for chunk in chunks {
            chunk.plan.logits.run(
                input.row(chunk.rows.lowerBound), table.base,
                into: logits.row(chunk.rows.lowerBound))
        }
    }

    /// The summed loss of all rows, in nats.
    func loss(
        _ input: Matrix, table: Matrix, targets: UnsafePointer<Int32>, logits: Matrix
    ) -> Double {
        for chunk in chunks {
            chunk.plan.logits.run(
                input.row(chunk.rows.lowerBound), table.base, into: logits.base)
            score(chunk, logits, targets, gradientScale: nil)
        }
        return losses.elements.reduce(0, +)
    }

    /// The summed loss, the input's gradient (N, C), and the table's, written or added to.
    func backward(
        _ input: Matrix, table: Matrix, targets: UnsafePointer<Int32>, gradientScale: Float,
        logits: Matrix, inputGradient: Matrix, tableGradient: Matrix, accumulates: Bool
    ) -> Double {
        for (index, chunk) in chunks.enumerated() {
            let x = input.row(chunk.rows.lowerBound)
            chunk.plan.logits.run(x, table.base, into: logits.base)
            score(chunk, logits, targets, gradientScale: gradientScale)
            chunk.plan.inputGradient.run(
                logits.base, table.base, into: inputGradient.row(chunk.rows.lowerBound))
            let product =
                accumulates || index > 0
                ? chunk.plan.accumulatingTableGradient : chunk.plan.tableGradient
            product.run(logits.base, x, into: tableGradient.base)
        }
        return losses.elements.reduce(0, +)
    }

    private func score(
        _ chunk: Chunk, _ logits: Matrix, _ targets: UnsafePointer<Int32>, gradientScale: Float?
    ) {
        crossEntropy(
            logits.rows(0..<chunk.rows.count), targets: targets + chunk.rows.lowerBound,
            vocabularySize: configuration.vocabularySize,
            losses: losses.base + chunk.rows.lowerBound, gradientScale: gradientScale,
            engine: engine)
    }
}
