import Compute
import Recipes

/// The head: logits = x W^T and their cross-entropy, computed in chunks of rows.
///
/// Only one chunk's logits exist at a time; with a vocabulary of 50,000 the logits of all rows
/// would be the largest buffer in memory. x is (N, C), W (V, C) with V padded, logits (rows, V).
/// If the head is tied, W is the token table.
struct Head {
    private let plan: ModelPlan
    private let weight: NamedTensor
    private let chunks: [Range<Int>]
    private let losses: Buffer<Double>
    private var engine: ComputeEngine { plan.engine }

    init(_ plan: ModelPlan, weight: NamedTensor) {
        self.plan = plan
        self.weight = weight
        let size = plan.configuration.logitRows(of: plan.rows)
        chunks = stride(from: 0, to: plan.rows, by: size).map {
            $0..<min(plan.rows, $0 + size)
        }
        losses = plan.engine.buffer(count: plan.rows)
    }

    /// The bytes of the head's memory, without the logits.
    var bytes: Int { losses.bytes.count }

    /// The loss of each row (N) in nats, after `loss`; 0 for a row without a target.
    var rowLosses: UnsafeBufferPointer<Double> { UnsafeBufferPointer(losses.elements) }

    /// Computes the logits of all rows.
    func logits(_ input: Operand, parameters: Parameters, into logits: Matrix) {
        engine.multiply(input, table(parameters), .transposed, into: logits)
    }

    /// Returns the summed loss of all rows, in nats.
    func loss(_ input: Operand, _ pass: Pass, logits: Matrix) -> Double {
        let table = table(pass.parameters)
        for chunk in chunks {
            let chunkLogits = logits.rows(0..<chunk.count)
            engine.multiply(input.rows(chunk), table, .transposed, into: chunkLogits)
            score(chunk, chunkLogits, pass.batch.targets, gradient: nil, gradientScale: 1)
        }
        return total
    }

    /// Returns the summed loss, and computes the input's gradient (N, C) and W's.
    ///
    /// The gradient of the logits overwrites them.
    func backward(
        _ input: Operand, _ pass: Pass, into gradients: GradientArena, gradientScale: Float,
        logits: Matrix, inputGradient: Matrix, betweenTiles: () -> Void
    ) -> Double {
        let table = table(pass.parameters)
        let weightGradient = gradients.values.matrix(
            weight, rows: plan.configuration.paddedVocabularySize)
        for (index, chunk) in chunks.enumerated() {
            let chunkLogits = logits.rows(0..<chunk.count)
            engine.multiply(
                input.rows(chunk), table, .transposed, into: chunkLogits,
                betweenTiles: betweenTiles)
            // A row of the gradient begins at the same address as the row of the logits.
            let gradient = Operand(
                logits.base, rows: chunk.count, columns: logits.columns,
                stride: logits.stride * MemoryLayout<Float>.stride / plan.precision.bytes,
                precision: plan.precision)
            score(
                chunk, chunkLogits, pass.batch.targets, gradient: gradient,
                gradientScale: gradientScale)
            engine.multiply(
                gradient, table, into: inputGradient.rows(chunk), betweenTiles: betweenTiles)
            engine.multiplyTransposed(
                gradient, input.rows(chunk), into: weightGradient,
                accumulates: gradients.accumulates || index > 0, betweenTiles: betweenTiles)
        }
        return total
    }

    private func table(_ parameters: Parameters) -> Operand {
        parameters.operand(weight, rows: plan.configuration.paddedVocabularySize)
    }

    private var total: Double { engine.isRecording ? 0 : losses.elements.reduce(0, +) }

    private func score(
        _ chunk: Range<Int>, _ logits: Matrix, _ targets: UnsafePointer<Int32>,
        gradient: Operand?, gradientScale: Float
    ) {
        crossEntropy(
            logits, targets: targets + chunk.lowerBound,
            vocabularySize: plan.configuration.vocabularySize,
            losses: losses.base + chunk.lowerBound, gradient: gradient,
            gradientScale: gradientScale, engine: engine)
    }
}
