import Kernels
import Tensors

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

/// A GPT-2 planned for micro-batches of one shape: forward and backward written by hand, in fp32.
///
/// It owns the activations; parameters and gradients are arenas of the caller's, laid out as `layout`
/// says. Pre-LayerNorm blocks, fused QKV, tanh GELU and a head tied to the token embedding
/// (Radford et al. 2019).
package final class GPT {
    package let configuration: GPTConfiguration
    package let layout: GPTLayout
    /// Tokens in a sequence (T); at most the context length, which is the position table's.
    package let sequenceLength: Int
    /// Sequences in a micro-batch (B).
    package let microBatch: Int
    private let recomputes: Bool
    private let engine: ComputeEngine
    private let activations: Activations
    private let attention: Attention
    private let normBackward: LayerNormBackward
    private let head: Head

    /// Plans a model; one that is not `training` can only compute losses, with less memory.
    ///
    /// - Parameters:
    ///   - sequenceLength: tokens in a sequence; where silent, the context length.
    ///   - recomputes: whether backward runs each block's forward again, so that of a block only its
    ///     input stays in memory: the same bits, with less memory and more time (Chen et al. 2016).
    package init(
        _ configuration: GPTConfiguration, sequenceLength: Int? = nil, microBatch: Int,
        training: Bool, recomputes: Bool = false, engine: ComputeEngine
    ) {
        precondition(configuration.vocabularySize > 0, "the vocabulary is not known yet")
        let length = sequenceLength ?? configuration.contextLength
        precondition(
            length >= 1 && length <= configuration.contextLength,
            "sequences of \(length) tokens in a context of \(configuration.contextLength)")
        self.configuration = configuration
        self.sequenceLength = length
        self.microBatch = microBatch
        self.recomputes = recomputes
        self.engine = engine
        layout = GPTLayout(configuration)
        let n = microBatch * length
        let c = configuration.width
        let logitRows = Head.chunkRows(
            rows: n, vocabulary: configuration.paddedVocabularySize)
        activations = Activations(
            configuration, rows: n,
            keeping: training ? (recomputes ? .residuals : .all) : .nothing, logitRows: logitRows)
        attention = Attention(
            batch: microBatch, length: length, heads: configuration.heads,
            headWidth: configuration.headWidth, engine: engine)
        normBackward = LayerNormBackward(rows: n, columns: c, engine: engine)
        head = Head(configuration, rows: n, engine: engine)
    }

    /// Bytes of activations.
    package var activationBytes: Int { activations.buffer.bytes.count }

    /// Tokens in a micro-batch (B T).
    package var tokenCount: Int { microBatch * sequenceLength }

    /// Runs the micro-batch through all blocks and the final norm; `finished` is told each part.
    package func forward(
        _ batch: TokenBatch, parameters: Buffer<Float>, dropout: DropoutKey?,
        finished: (ForwardPart) -> Void = { _ in }
    ) {
        let a = activations
        embeddingForward(
            batch.inputs, sequenceLength: sequenceLength,
            tokenTable: parameters.matrix(layout.tokenEmbedding),
            positionTable: parameters.matrix(layout.positionEmbedding), into: a.residuals[0],
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
    package func loss(_ batch: TokenBatch, parameters: Buffer<Float>) -> Double {
        head.loss(
            activations.finalNorm.output, table: tokenTable(parameters), targets: batch.targets,
            logits: activations.logits)
    }

    /// The logits (N, V padded) of the micro-batch, after `forward`.
    package func logits(parameters: Buffer<Float>, into logits: Matrix) {
        head.logits(activations.finalNorm.output, table: tokenTable(parameters), into: logits)
    }

    /// The loss as `loss` gives it and, after `forward`, the gradients of `gradientScale` times it.
    ///
    /// Gradients are written over the arena's contents or, if it `accumulates`, added to them.
    /// `finished` is told each range of the arena as soon as it is complete, from the arena's end to
    /// its start: the final norm, the layers of the last block to the first, the embeddings.
    /// `recomputed` is told each block whose forward was run again, just before its backward.
    package func backward(
        _ batch: TokenBatch, parameters: Buffer<Float>, gradients: Buffer<Float>,
        gradientScale: Float, accumulates: Bool, dropout: DropoutKey?,
        recomputed: (_ layer: Int) -> Void = { _ in }, finished: (Range<Int>) -> Void
    ) -> Double {
        let a = activations
        guard let flow = a.gradients else {
            preconditionFailure("a model planned for evaluation has no backward pass")
        }
        let loss = head.backward(
            a.finalNorm.output, table: tokenTable(parameters), targets: batch.targets,
            gradientScale: gradientScale, logits: a.logits, inputGradient: flow.branch,
            tableGradient: tokenTable(gradients), accumulates: accumulates)
        flow.residual.base.update(repeating: 0, count: tokenCount * configuration.width)
        normalizeBackward(
            flow.branch, a.residuals[configuration.layers], layout.finalNorm, a.finalNorm,
            parameters, gradients, addingTo: flow.residual, accumulates)
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
        _ layer: Int, _ batch: TokenBatch, _ parameters: Buffer<Float>, _ dropout: DropoutKey?
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
    private func forwardFeedForward(_ layer: Int, _ parameters: Buffer<Float>) {
        let a = activations.blocks[layer]
        let p = layout.blocks[layer]
        normalize(a.middle, p.feedForwardNorm, a.feedForwardNorm, parameters)
        linear(p.up, parameters).forward(
            a.feedForwardNorm.output, throughGELUInto: a.activated, slope: a.slope, engine: engine)
    }

    /// `output` = `residual` + dropout(`input` W + b), all (N, C).
    private func addBranch(
        _ input: Matrix, _ projection: GPTLayout.Projection, _ parameters: Buffer<Float>,
        to residual: Matrix, into output: Matrix, _ site: DropoutSite, _ batch: TokenBatch,
        _ key: DropoutKey?
    ) {
        let layer = linear(projection, parameters)
        guard key != nil else {
            return layer.forward(input, addedTo: residual, into: output, engine: engine)
        }
        let branch = activations.branch
        layer.forward(input, into: branch, engine: engine)
        drop(branch, site, batch, key)
        add(residual, branch, into: output, engine: engine)
    }

    /// The residual stream's gradient, `flow.residual`, goes from behind the block to before it.
    private func backwardBlock(
        _ layer: Int, _ batch: TokenBatch, _ parameters: Buffer<Float>,
        _ gradients: Buffer<Float>, _ accumulates: Bool, _ dropout: DropoutKey?,
        _ flow: Activations.Gradients, _ finished: (Range<Int>) -> Void
    ) {
        let a = activations.blocks[layer]
        let p = layout.blocks[layer]

        var branch = dropped(flow, .feedForwardProjection(layer: layer), batch, dropout)
        linear(p.down, gradients).backwardParameters(
            branch, input: a.activated, accumulates: accumulates, engine: engine)
        finished(p.down.range)
        linear(p.down, parameters).backwardInput(
            branch, throughSlope: a.slope, into: flow.wide, engine: engine)
        linear(p.up, gradients).backwardParameters(
            flow.wide, input: a.feedForwardNorm.output, accumulates: accumulates, engine: engine)
        finished(p.up.range)
        linear(p.up, parameters).backwardInput(flow.wide, into: flow.branch, engine: engine)
        normalizeBackward(
            flow.branch, a.middle, p.feedForwardNorm, a.feedForwardNorm, parameters, gradients,
            addingTo: flow.residual, accumulates)
        finished(p.feedForwardNorm.range)

        branch = dropped(flow, .attentionProjection(layer: layer), batch, dropout)
        linear(p.attentionProjection, gradients).backwardParameters(
            branch, input: a.attention, accumulates: accumulates, engine: engine)
        finished(p.attentionProjection.range)
        // `activations.branch` is free in backward.
        linear(p.attentionProjection, parameters).backwardInput(
            branch, into: activations.branch, engine: engine)
        attention.backward(
            activations.branch, qkv: a.qkv, output: a.attention, logSumExp: a.logSumExp,
            into: flow.qkv, dropout: attentionDropout(layer, batch, dropout))
        linear(p.qkv, gradients).backwardParameters(
            flow.qkv, input: a.attentionNorm.output, accumulates: accumulates, engine: engine)
        finished(p.qkv.range)
        linear(p.qkv, parameters).backwardInput(flow.qkv, into: flow.branch, engine: engine)
        normalizeBackward(
            flow.branch, activations.residuals[layer], p.attentionNorm, a.attentionNorm, parameters,
            gradients, addingTo: flow.residual, accumulates)
        finished(p.attentionNorm.range)
    }

    // MARK: - Parts of a block

    private func tokenTable(_ arena: Buffer<Float>) -> Matrix {
        Matrix(
            arena.base + layout.tokenEmbedding.offset, rows: configuration.paddedVocabularySize,
            columns: configuration.width)
    }

    private func normalize(
        _ input: Matrix, _ norm: GPTLayout.Norm, _ result: Activations.Normalized,
        _ parameters: Buffer<Float>
    ) {
        layerNormForward(
            input, weight: parameters.vector(norm.weight),
            bias: norm.bias.map(parameters.vector), into: result.output, mean: result.mean,
            rstd: result.rstd, engine: engine)
    }

    private func normalizeBackward(
        _ outputGradient: Matrix, _ input: Matrix, _ norm: GPTLayout.Norm,
        _ result: Activations.Normalized, _ parameters: Buffer<Float>,
        _ gradients: Buffer<Float>, addingTo inputGradient: Matrix, _ accumulates: Bool
    ) {
        normBackward.run(
            outputGradient, input: input, weight: parameters.vector(norm.weight),
            mean: result.mean, rstd: result.rstd, addingTo: inputGradient,
            weightGradient: gradients.vector(norm.weight),
            biasGradient: norm.bias.map(gradients.vector), accumulates: accumulates)
    }

    /// A projection's weight and bias in an arena of parameters or of gradients.
    private func linear(_ projection: GPTLayout.Projection, _ arena: Buffer<Float>) -> Linear {
        Linear(
            weight: arena.matrix(projection.weight), bias: projection.bias.map(arena.vector))
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
            matrix, into: matrix, sequenceLength: sequenceLength,
            firstSequence: batch.firstSequence, site: site, key: key, engine: engine)
    }

    /// The gradient that enters a residual branch: the stream's own, or a dropped copy of it.
    private func dropped(
        _ flow: Activations.Gradients, _ site: DropoutSite, _ batch: TokenBatch,
        _ key: DropoutKey?
    ) -> Matrix {
        guard let key else { return flow.residual }
        dropout(
            flow.residual, into: flow.branch, sequenceLength: sequenceLength,
            firstSequence: batch.firstSequence, site: site, key: key, engine: engine)
        return flow.branch
    }
}
