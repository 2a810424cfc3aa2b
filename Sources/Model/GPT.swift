import Compute
import Recipes

/// The tokens of one micro-batch: B sequences of T inputs and their next-token targets.
package struct TokenBatch: @unchecked Sendable {
    /// (B, T); each in 0..<vocabularySize.
    package let inputs: UnsafePointer<Int32>
    /// (B, T); `ignoredTarget` where nothing is to be predicted.
    package let targets: UnsafePointer<Int32>
    /// The first sequence's number in the global batch, for dropout.
    package let firstSequence: Int

    package init(
        inputs: UnsafePointer<Int32>, targets: UnsafePointer<Int32>, firstSequence: Int = 0
    ) {
        self.inputs = inputs
        self.targets = targets
        self.firstSequence = firstSequence
    }
}

/// A GPT-2 planned for micro-batches of one shape: forward and backward written by hand.
///
/// In bf16 what enters matrix products is rounded; the products' sums, the residual stream, norms,
/// softmax, loss, parameters and their gradients are fp32. It owns the activations; parameters and
/// gradients are arenas of the caller's, laid out as `layout` says. Pre-LayerNorm blocks, fused
/// QKV, tanh GELU and a head tied to the token embedding (Radford et al. 2019).
package final class GPT {
    package let configuration: GPTConfiguration
    package let layout: GPTLayout
    /// Tokens in a sequence (T); at most the context length, which is the position table's.
    package let sequenceLength: Int
    /// Sequences in a micro-batch (B).
    package let microBatch: Int
    package let precision: Precision
    private let recomputes: Bool
    let engine: ComputeEngine
    let activations: Activations
    let attention: Attention
    private let normBackward: LayerNormBackward
    let head: Head

    /// Plans a model; one that is not `training` can only compute losses, with less memory.
    ///
    /// - Parameters:
    ///   - sequenceLength: tokens in a sequence; where silent, the context length.
    ///   - precision: what enters matrix products; in bf16 the heads' width is even.
    ///   - recomputes: whether backward runs each block's forward again, so that of a block only
    ///     its input stays in memory: the same bits, with less memory and more time (Chen et al.
    ///     2016).
    package init(
        _ configuration: GPTConfiguration, sequenceLength: Int? = nil, microBatch: Int,
        training: Bool, precision: Precision = .fp32, recomputes: Bool = false,
        engine: ComputeEngine
    ) {
        precondition(configuration.vocabularySize > 0, "the vocabulary is not known yet")
        let length = sequenceLength ?? configuration.contextLength
        precondition(
            length >= 1 && length <= configuration.contextLength,
            "sequences of \(length) tokens in a context of \(configuration.contextLength)")
        self.configuration = configuration
        self.sequenceLength = length
        self.microBatch = microBatch
        self.precision = precision
        self.recomputes = recomputes
        self.engine = engine
        layout = GPTLayout(configuration)
        let n = microBatch * length
        let c = configuration.width
        let logitRows = configuration.logitRows(of: n)
        activations = Activations(
            configuration, rows: n,
            keeping: training ? (recomputes ? .residuals : .all) : .nothing, logitRows: logitRows,
            precision: precision)
        attention = Attention(
            batch: microBatch, length: length, heads: configuration.heads,
            headWidth: configuration.headWidth, precision: precision, engine: engine)
        normBackward = LayerNormBackward(rows: n, columns: c, engine: engine)
        head = Head(configuration, rows: n, engine: engine)
    }

    /// Bytes of activations, their gradients and what is summed over them.
    package var activationBytes: Int {
        activations.buffer.bytes.count + normBackward.bytes + head.bytes
    }

    /// Tokens in a micro-batch (B T).
    package var tokenCount: Int { microBatch * sequenceLength }

    /// Runs the micro-batch through all blocks and the final norm; `finished` is told each part.
    package func forward(
        _ batch: TokenBatch, parameters: Parameters, dropout: DropoutKey?,
        finished: (ForwardPart) -> Void = { _ in }
    ) {
        let a = activations
        embeddingForward(
            batch.inputs, sequenceLength: sequenceLength,
            tokenTable: parameters.values.matrix(layout.tokenEmbedding),
            positionTable: parameters.values.matrix(layout.positionEmbedding), into: a.residuals[0],
            engine: engine)
        drop(a.residuals[0], .embedding, batch, dropout)
        finished(.embedding)
        for layer in 0..<configuration.layers {
            forwardAttention(layer, batch, parameters, dropout)
            finished(.attention(layer: layer))
            forwardFeedForward(layer, parameters)
            addBranch(
                a.blocks[layer].activated, layout.blocks[layer].down, parameters,
                to: a.blocks[layer].middle, into: a.residuals[layer + 1],
                .feedForwardProjection(layer: layer), batch, dropout)
            finished(.feedForward(layer: layer))
        }
        normalize(a.residuals[configuration.layers], layout.finalNorm, a.finalNorm, parameters)
        finished(.finalNorm)
    }

    /// The cross-entropy in nats summed over the micro-batch's counted targets, after `forward`.
    package func loss(_ batch: TokenBatch, parameters: Parameters) -> Double {
        head.loss(
            activations.finalNorm.output, table: tokenTable(parameters), targets: batch.targets,
            logits: activations.logits)
    }

    /// The logits (N, V padded) of the micro-batch, after `forward`.
    package func logits(parameters: Parameters, into logits: Matrix) {
        head.logits(activations.finalNorm.output, table: tokenTable(parameters), into: logits)
    }

    /// The loss as `loss` gives it and, after `forward`, the gradients of `gradientScale` times it.
    ///
    /// Gradients are written over the arena's contents or, if it `accumulates`, added to them.
    /// `finished` is told each range of the arena as soon as it is complete, from the arena's end
    /// to its start: the final norm, the layers of the last block to the first, the embeddings.
    /// `recomputed` is told each block whose forward was run again, just before its backward.
    package func backward(
        _ batch: TokenBatch, parameters: Parameters, gradients: Buffer<Float>,
        gradientScale: Float, accumulates: Bool, dropout: DropoutKey?,
        recomputed: (_ layer: Int) -> Void = { _ in }, finished: (Range<Int>) -> Void
    ) -> Double {
        let a = activations
        guard let flow = a.gradients else {
            preconditionFailure("a model planned for evaluation has no backward pass")
        }
        let loss = head.backward(
            a.finalNorm.output, table: tokenTable(parameters), targets: batch.targets,
            gradientScale: gradientScale, logits: a.logits, logitGradient: flow.logits,
            inputGradient: flow.branch, tableGradient: tokenTable(gradients),
            accumulates: accumulates)
        flow.residual.base.update(repeating: 0, count: tokenCount * configuration.width)
        normalizeBackward(
            a.residuals[configuration.layers], layout.finalNorm, a.finalNorm,
            parameters, gradients, accumulates, dropout, flow)
        finished(layout.finalNorm.range)
        for layer in (0..<configuration.layers).reversed() {
            // The last block's activations are still there.
            if recomputes && layer < configuration.layers - 1 {
                forwardAttention(layer, batch, parameters, dropout)
                forwardFeedForward(layer, parameters)
                recomputed(layer)
            }
            backwardBlock(
                layer, batch, parameters, gradients, accumulates, dropout, flow, finished)
        }
        drop(flow.residual, .embedding, batch, dropout)
        embeddingBackward(
            flow.residual, tokens: batch.inputs, sequenceLength: sequenceLength,
            addingTo: tokenTable(gradients),
            positionGradient: gradients.matrix(layout.positionEmbedding),
            accumulates: accumulates, engine: engine)
        finished(layout.embeddingRange)
        return loss
    }

    // MARK: - One block

    /// The block's first half, up to the residual stream between the halves.
    private func forwardAttention(
        _ layer: Int, _ batch: TokenBatch, _ parameters: Parameters, _ dropout: DropoutKey?
    ) {
        let input = activations.residuals[layer]
        let a = activations.blocks[layer]
        let p = layout.blocks[layer]
        normalize(input, p.attentionNorm, a.attentionNorm, parameters)
        linear(p.qkv, parameters).forward(a.attentionNorm.output, into: a.qkv, engine: engine)
        attention.forward(
            a.qkv, into: a.attention, logSumExp: a.logSumExp,
            dropout: attentionDropout(layer, batch, dropout))
        addBranch(
            a.attention, p.attentionProjection, parameters, to: input, into: a.middle,
            .attentionProjection(layer: layer), batch, dropout)
    }

    /// The second half without its last product, whose result backward does not read.
    private func forwardFeedForward(_ layer: Int, _ parameters: Parameters) {
        let a = activations.blocks[layer]
        let p = layout.blocks[layer]
        normalize(a.middle, p.feedForwardNorm, a.feedForwardNorm, parameters)
        linear(p.up, parameters).forward(
            a.feedForwardNorm.output, throughGELUInto: a.activated, slope: a.slope, engine: engine)
    }

    /// `output` = `residual` + dropout(`input` W + b), all (N, C).
    private func addBranch(
        _ input: Operand, _ projection: GPTLayout.Projection, _ parameters: Parameters,
        to residual: Matrix, into output: Matrix, _ site: DropoutSite, _ batch: TokenBatch,
        _ key: DropoutKey?
    ) {
        let layer = linear(projection, parameters)
        guard key != nil else {
            return layer.forward(input, addedTo: residual, into: output, engine: engine)
        }
        let branch = activations.branch
        layer.forward(input, into: branch.operand, engine: engine)
        drop(branch, site, batch, key)
        add(residual, branch, into: output, engine: engine)
    }

    /// The residual stream's gradient, `flow.residual`, goes from behind the block to before it.
    private func backwardBlock(
        _ layer: Int, _ batch: TokenBatch, _ parameters: Parameters,
        _ gradients: Buffer<Float>, _ accumulates: Bool, _ dropout: DropoutKey?,
        _ flow: Activations.Gradients, _ finished: (Range<Int>) -> Void
    ) {
        let a = activations.blocks[layer]
        let p = layout.blocks[layer]

        var branch = dropped(flow, .feedForwardProjection(layer: layer), batch, dropout)
        gradient(p.down, gradients).backward(
            branch, input: a.activated, accumulates: accumulates, engine: engine)
        finished(p.down.range)
        linear(p.down, parameters).backwardInput(
            branch, throughSlope: a.slope, into: flow.wide, engine: engine)
        gradient(p.up, gradients).backward(
            flow.wide, input: a.feedForwardNorm.output, accumulates: accumulates, engine: engine)
        finished(p.up.range)
        linear(p.up, parameters).backwardInput(
            flow.wide, into: flow.branch.operand, engine: engine)
        normalizeBackward(
            a.middle, p.feedForwardNorm, a.feedForwardNorm, parameters, gradients, accumulates,
            dropout, flow)
        finished(p.feedForwardNorm.range)

        branch = dropped(flow, .attentionProjection(layer: layer), batch, dropout)
        gradient(p.attentionProjection, gradients).backward(
            branch, input: a.attention, accumulates: accumulates, engine: engine)
        finished(p.attentionProjection.range)
        linear(p.attentionProjection, parameters).backwardInput(
            branch, into: flow.attention, engine: engine)
        attention.backward(
            flow.attention, qkv: a.qkv, output: a.attention, logSumExp: a.logSumExp,
            into: flow.qkv, dropout: attentionDropout(layer, batch, dropout))
        gradient(p.qkv, gradients).backward(
            flow.qkv, input: a.attentionNorm.output, accumulates: accumulates, engine: engine)
        finished(p.qkv.range)
        linear(p.qkv, parameters).backwardInput(
            flow.qkv, into: flow.branch.operand, engine: engine)
        normalizeBackward(
            activations.residuals[layer], p.attentionNorm, a.attentionNorm, parameters,
            gradients, accumulates, dropout, flow)
        finished(p.attentionNorm.range)
    }

    // MARK: - Parts of a block

    func tokenTable(_ parameters: Parameters) -> Operand {
        parameters.operand(
            at: layout.tokenEmbedding.offset, rows: configuration.paddedVocabularySize,
            columns: configuration.width)
    }

    private func tokenTable(_ gradients: Buffer<Float>) -> Matrix {
        Matrix(
            gradients.base + layout.tokenEmbedding.offset,
            rows: configuration.paddedVocabularySize, columns: configuration.width)
    }

    private func normalize(
        _ input: Matrix, _ norm: GPTLayout.Norm, _ result: Activations.Normalized,
        _ parameters: Parameters
    ) {
        layerNormForward(
            input, weight: parameters.values.vector(norm.weight),
            bias: norm.bias.map(parameters.values.vector), into: result.output, mean: result.mean,
            rstd: result.rstd, engine: engine)
    }

    /// Adds the gradient behind a norm, `flow.branch`, to the residual stream's, as `input` goes
    /// into both; in bf16 without dropout the sum is rounded for the products that read it next.
    private func normalizeBackward(
        _ input: Matrix, _ norm: GPTLayout.Norm, _ result: Activations.Normalized,
        _ parameters: Parameters, _ gradients: Buffer<Float>, _ accumulates: Bool,
        _ dropout: DropoutKey?, _ flow: Activations.Gradients
    ) {
        normBackward.run(
            flow.branch, input: input, weight: parameters.values.vector(norm.weight),
            mean: result.mean, rstd: result.rstd, addingTo: flow.residual,
            rounded: precision == .bf16 && dropout == nil ? flow.rounded : nil,
            weightGradient: gradients.vector(norm.weight),
            biasGradient: norm.bias.map(gradients.vector), accumulates: accumulates)
    }

    private func linear(_ projection: GPTLayout.Projection, _ parameters: Parameters) -> Linear {
        Linear(
            weight: parameters.operand(projection.weight),
            bias: projection.bias.map(parameters.values.vector))
    }

    /// The place of a projection's gradients.
    private func gradient(
        _ projection: GPTLayout.Projection, _ gradients: Buffer<Float>
    ) -> LinearGradient {
        LinearGradient(
            weight: gradients.matrix(projection.weight),
            bias: projection.bias.map(gradients.vector))
    }

    private func attentionDropout(
        _ layer: Int, _ batch: TokenBatch, _ key: DropoutKey?
    ) -> Attention.Dropout? {
        key.map { Attention.Dropout(key: $0, layer: layer, firstSequence: batch.firstSequence) }
    }

    /// Drops elements in place, where there is dropout.
    private func drop(
        _ matrix: Matrix, _ site: DropoutSite, _ batch: TokenBatch, _ key: DropoutKey?
    ) {
        guard let key else { return }
        dropout(
            matrix, into: matrix.operand, sequenceLength: sequenceLength,
            firstSequence: batch.firstSequence, site: site, key: key, engine: engine)
    }

    /// The gradient that enters a residual branch: the stream's own, or a dropped copy of it.
    private func dropped(
        _ flow: Activations.Gradients, _ site: DropoutSite, _ batch: TokenBatch,
        _ key: DropoutKey?
    ) -> Operand {
        guard let key else { return flow.rounded }
        dropout(
            flow.residual, into: flow.dropped, sequenceLength: sequenceLength,
            firstSequence: batch.firstSequence, site: site, key: key, engine: engine)
        return flow.dropped
    }
}
