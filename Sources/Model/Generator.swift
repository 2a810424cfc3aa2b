import Compute
import Recipes

/// Generates one token at a time from a GPT, with the keys and values of earlier tokens cached.
///
/// The cache is (L, T, 2C). When it is full, the newer half of the context is read again from its
/// start, because learned positions cannot be shifted.
///
/// The operands of matrix products are rounded to the parameters' precision, as in training and
/// evaluation, except for the attention probabilities.
package final class Generator {
    private let configuration: GPTConfiguration
    private let layout: GPTLayout
    private let parameters: Parameters
    private let engine: ComputeEngine
    private let cache: Buffer<Float>
    private var context: [Int32] = []

    private let memory: Memory

    /// One token's activations.
    private struct Memory {
        let buffer: Buffer<Float>
        let residual: Matrix  // (1, C)
        let normalized: Matrix  // (1, C)
        let branch: Matrix  // (1, C)
        let qkv: Matrix  // (1, 3C)
        let wide: Matrix  // (1, 4C)
        let scores: Vector  // (T)
        let statistics: Vector  // (2)
        let logits: Matrix  // (1, V)
        /// A row that is rounded to bf16 for a product.
        let rounded: Buffer<UInt16>  // (4C)

        init(_ shape: GPTConfiguration) {
            var layout = ArenaLayout()
            let c = shape.width
            let tensors = [
                c, c, c, 3 * c, 4 * c, shape.contextLength, 16, shape.paddedVocabularySize,
            ].map { layout.append("", shape: [1, $0]) }
            let buffer = Buffer<Float>(count: layout.count)
            self.buffer = buffer
            residual = buffer.matrix(tensors[0])
            normalized = buffer.matrix(tensors[1])
            branch = buffer.matrix(tensors[2])
            qkv = buffer.matrix(tensors[3])
            wide = buffer.matrix(tensors[4])
            scores = buffer.vector(tensors[5])
            statistics = buffer.vector(tensors[6])
            logits = buffer.matrix(tensors[7])
            rounded = Buffer(count: 4 * c)
        }
    }

    package init(
        _ configuration: GPTConfiguration, parameters: Parameters, engine: ComputeEngine
    ) {
        self.configuration = configuration
        self.parameters = parameters
        self.engine = engine
        layout = GPTLayout(configuration)
        precondition(parameters.values.count == layout.arena.count)
        let c = configuration.width
        cache = Buffer(count: configuration.layers * configuration.contextLength * 2 * c)
        memory = Memory(configuration)
    }

    /// Adds a token to the context and returns the logits (V) of the one after it.
    ///
    /// The returned memory is valid until the next call.
    package func next(after token: Int32) -> UnsafeBufferPointer<Float> {
        read(token)
        let table = parameters.operand(
            at: layout.tokenEmbedding.offset, rows: configuration.paddedVocabularySize,
            columns: configuration.width)
        engine.multiply(operand(memory.normalized), table, .transposed, into: memory.logits)
        return UnsafeBufferPointer(
            start: memory.logits.base, count: configuration.vocabularySize)
    }

    /// Adds a token to the context.
    package func read(_ token: Int32) {
        if context.count == configuration.contextLength {
            let kept = context.suffix((configuration.contextLength + 1) / 2 - 1)
            context.removeAll()
            for token in kept { append(token) }
        }
        append(token)
    }

    private func append(_ token: Int32) {
        precondition(token >= 0 && token < configuration.vocabularySize)
        let position = context.count
        context.append(token)
        let m = memory
        let table = parameters.values.matrix(layout.tokenEmbedding)
        let positions = parameters.values.matrix(layout.positionEmbedding)
        add(
            table.rows(Int(token)..<Int(token) + 1), positions.rows(position..<position + 1),
            into: m.residual, engine: engine)
        for layer in 0..<configuration.layers {
            let p = layout.blocks[layer]
            normalize(p.attentionNorm)
            project(m.normalized, p.qkv, into: m.qkv)
            round(m.qkv)
            attend(layer: layer, position: position)
            project(m.normalized, p.attentionProjection, into: m.branch)
            add(m.residual, m.branch, into: m.residual, engine: engine)
            normalize(p.feedForwardNorm)
            project(m.normalized, p.up, into: m.wide)
            geluForward(m.wide, into: m.wide, engine: engine)
            project(m.wide, p.down, into: m.branch)
            add(m.residual, m.branch, into: m.residual, engine: engine)
        }
        normalize(layout.finalNorm)
    }

    /// Attention of the newest query over the cached keys; the result takes `normalized`'s place.
    private func attend(layer: Int, position: Int) {
        let c = configuration.width
        let entries = Matrix(
            cache.base + layer * configuration.contextLength * 2 * c,
            rows: configuration.contextLength, columns: 2 * c)
        entries.row(position).update(from: memory.qkv.base + c, count: 2 * c)
        attendToCache(
            query: memory.qkv.base, cache: entries.rows(0..<position + 1),
            heads: configuration.heads, scores: memory.scores, into: memory.normalized)
    }

    private func normalize(_ norm: GPTLayout.Norm) {
        let statistics = memory.statistics.base
        layerNormForward(
            memory.residual, weight: parameters.values.vector(norm.weight),
            bias: norm.bias.map(parameters.values.vector), into: memory.normalized.operand,
            mean: Vector(statistics, count: 1), rstd: Vector(statistics + 1, count: 1),
            engine: engine)
    }

    private func project(
        _ input: Matrix, _ projection: GPTLayout.Projection, into output: Matrix
    ) {
        Linear(
            weight: parameters.operand(projection.weight),
            bias: projection.bias.map(parameters.values.vector)
        ).forward(operand(input), into: output.operand, engine: engine)
    }

    /// Returns a row as an operand of a product, rounded in bf16; valid until the next call.
    private func operand(_ row: Matrix) -> Operand {
        guard parameters.precision == .bf16 else { return row.operand }
        let rounded = memory.rounded.base
        roundToOperand(row.base, count: row.columns, into: rounded)
        return Operand(rounded, rows: 1, columns: row.columns, precision: .bf16)
    }

    /// Rounds a row that attention reads in place if the parameters are in bf16.
    private func round(_ row: Matrix) {
        guard parameters.precision == .bf16 else { return }
        let c = configuration.width
        for start in stride(from: 0, to: row.columns, by: c) {
            let part = row.base + start
            roundToOperand(part, count: c, into: memory.rounded.base)
            for i in 0..<c {
                part[i] = Float(bitPattern: UInt32(memory.rounded.base[i]) << 16)
            }
        }
    }
}
