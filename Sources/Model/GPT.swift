import Compute
import Recipes

/// The tokens of one micro-batch: B sequences of T inputs and their next-token targets.
package struct TokenBatch: @unchecked Sendable {
    /// The inputs (B, T), each in 0..<vocabularySize.
    package let inputs: UnsafePointer<Int32>
    /// The targets (B, T); `ignoredTarget` if there is nothing to predict.
    package let targets: UnsafePointer<Int32>
    /// The position of each input within its document (B, T); nil if every sequence is one document. Inputs
    /// attend only to their own document.
    package let positions: UnsafePointer<Int32>?
    /// The number of the first sequence in the global batch, for dropout.
    package let firstSequence: Int

    /// Creates a batch of (B, T) tokens, which the caller keeps in memory.
    package init(
        inputs: UnsafePointer<Int32>, targets: UnsafePointer<Int32>,
        positions: UnsafePointer<Int32>? = nil, firstSequence: Int = 0
    ) {
        self.inputs = inputs
        self.targets = targets
        self.positions = positions
        self.firstSequence = firstSequence
    }
}

/// A model planned for micro-batches of one shape, with hand-written forward and backward passes.
///
/// In bf16 the inputs of matrix products are rounded; the products' sums, the residual stream,
/// norms, softmax, loss, parameters and their gradients are fp32. The model owns the activations.
/// Parameters and gradients are arenas of the caller, laid out by `layout`. The architecture
/// decides what the blocks compute (see `Block`).
package final class GPT {
    package let layout: GPTLayout
    private let plan: ModelPlan
    private let stack: any Stack
    private let head: Head

    /// Plans a model. Without `training`, it can only compute losses and takes less memory.
    ///
    /// - Parameters:
    ///   - sequenceLength: the tokens in a sequence; if unset, the context length.
    ///   - precision: the precision of the inputs of matrix products; bf16 needs heads of even
    ///     width.
    ///   - recomputes: whether backward runs each block's forward again, so that only a block's
    ///     input stays in memory: the same bits, with less memory and more time (Chen et al. 2016).
    package convenience init(
        _ configuration: GPTConfiguration, sequenceLength: Int? = nil, microBatch: Int,
        training: Bool, precision: Precision = .fp32, recomputes: Bool = false,
        engine: ComputeEngine
    ) {
        precondition(configuration.vocabularySize > 0, "the vocabulary is not known yet")
        let length = sequenceLength ?? configuration.contextLength
        precondition(
            length >= 1 && length <= configuration.contextLength,
            "sequences of \(length) tokens in a context of \(configuration.contextLength)")
        self.init(
            ModelPlan(
                configuration: configuration, sequenceLength: length, microBatch: microBatch,
                precision: precision,
                kept: training ? (recomputes ? .residuals : .all) : .nothing, engine: engine))
    }

    private init(_ plan: ModelPlan) {
        func stack<B: Block>(_ block: B.Type) -> any Stack { BlockStack<B>(plan) }
        self.plan = plan
        layout = GPTLayout(plan.configuration)
        self.stack = stack(Architecture.block(of: plan.configuration))
        head = Head(plan, weight: layout.head)
    }

    package var configuration: GPTConfiguration { plan.configuration }
    /// The tokens in a sequence (T); at most the context length.
    package var sequenceLength: Int { plan.sequenceLength }
    /// The sequences in a micro-batch (B).
    package var microBatch: Int { plan.microBatch }
    package var precision: Precision { plan.precision }
    /// The tokens in a micro-batch (B T).
    package var tokenCount: Int { plan.rows }

    /// Runs the micro-batch through all blocks and the final norm, and calls `finished` after each
    /// part.
    package func forward(
        _ batch: TokenBatch, parameters: Parameters, dropout: DropoutKey?,
        finished: (ForwardPart) -> Void = { _ in }
    ) {
        let pass = Pass(batch: batch, parameters: parameters, dropout: dropout)
        layout.embedding.forward(pass, into: stack.residuals[0], plan)
        finished(.embedding)
        stack.forward(pass, finished: finished)
    }

    /// Returns the cross-entropy in nats summed over the micro-batch's counted targets, after
    /// `forward`.
    package func loss(_ batch: TokenBatch, parameters: Parameters) -> Double {
        head.loss(
            stack.output, Pass(batch: batch, parameters: parameters, dropout: nil),
            logits: stack.logits)
    }

    /// The cross-entropy of each target (B, T) in nats, after `loss`; 0 for an ignored target.
    ///
    /// The memory is valid until the next pass.
    package var targetLosses: UnsafeBufferPointer<Double> { head.rowLosses }

    /// Computes the logits (rows, V padded) of the first rows of the micro-batch, after `forward`.
    package func logits(parameters: Parameters, into logits: Matrix) {
        head.logits(stack.output.rows(0..<logits.rows), parameters: parameters, into: logits)
    }

    /// The residual stream before each block and after the last, L + 1 times (N, C), after
    /// `forward`. The model must be planned for training.
    package var residuals: [Matrix] {
        precondition(plan.isTraining, "a model for evaluation keeps no residual stream")
        return stack.residuals
    }

    /// Returns the loss as `loss` does, and computes the gradients of `gradientScale` times the
    /// loss, after `forward`, whose activations it may overwrite.
    ///
    /// Gradients overwrite the arena's contents or, with `accumulates`, are added to them.
    ///
    /// - Parameters:
    ///   - betweenTiles: work of the caller that must not wait for the end of a large product. An
    ///     engine of one thread calls it between two tiles of each matrix product.
    ///   - recomputed: called with each block whose forward was run again, before its backward.
    ///   - finished: called with each range of the arena as soon as it is complete, from the end of
    ///     the arena to its start: a head that is not tied, the final norm, the blocks from the
    ///     last to the first, the embeddings.
    package func backward(
        _ batch: TokenBatch, parameters: Parameters, gradients: Buffer<Float>,
        gradientScale: Float, accumulates: Bool, dropout: DropoutKey?,
        betweenTiles: () -> Void = {}, recomputed: (_ layer: Int) -> Void = { _ in },
        finished: (Range<Int>) -> Void
    ) -> Double {
        guard let flow = stack.flow else {
            preconditionFailure("a model planned for evaluation has no backward pass")
        }
        let pass = Pass(batch: batch, parameters: parameters, dropout: dropout)
        let gradients = GradientArena(values: gradients, accumulates: accumulates)
        let loss = head.backward(
            stack.output, pass, into: gradients, gradientScale: gradientScale,
            logits: stack.logits, inputGradient: flow.branch, betweenTiles: betweenTiles)
        if !layout.isTied { finished(layout.finalNormRange.upperBound..<layout.arena.count) }
        stack.backward(
            pass, into: gradients, betweenTiles: betweenTiles, recomputed: recomputed,
            finished: finished)
        layout.embedding.backward(
            flow.residual, pass, into: gradients, isTied: layout.isTied, plan)
        finished(layout.embeddingRange)
        return loss
    }
}

// MARK: - Memory

extension GPT {
    /// The bytes of the activations, their gradients and the sums over them.
    package var activationBytes: Int { stack.bytes + head.bytes }

    /// Returns the bytes of scratch memory that the engine has after forward and backward of this
    /// model on all threads. The model must be planned for training.
    ///
    /// To find out, a model with the same plan runs on an engine that only records.
    ///
    /// - Parameter others: further work that shares the scratch memory.
    package func scratchBytes(
        parameters: Parameters, others: (ComputeEngine) -> Void = { _ in }
    ) -> Int {
        let recorder = ComputeEngine(recording: plan.engine)
        var plan = plan
        plan.engine = recorder
        let model = GPT(plan)
        let tokens: Buffer<Int32> = recorder.buffer(count: tokenCount)
        let batch = TokenBatch(inputs: tokens.base, targets: tokens.base)
        // Evaluations of a model with dropout run without it.
        let key = DropoutKey(probability: configuration.dropout, seed: 0, step: 0)
        for dropout in configuration.dropout > 0 ? [nil, key] : [nil] {
            model.forward(batch, parameters: parameters, dropout: dropout)
            _ = model.backward(
                batch, parameters: parameters,
                gradients: recorder.buffer(count: layout.arena.count),
                gradientScale: 1, accumulates: false, dropout: dropout, finished: { _ in })
        }
        others(recorder)
        return recorder.scratchBytes
    }
}

extension GPTConfiguration {
    /// Returns the least memory that training takes, in bytes.
    ///
    /// It consists of the fp32 parameters, a copy of them in a lower precision, `arenas` further
    /// fp32 numbers per parameter, and the activations of a micro-batch of `tokens`: all of each
    /// block or, if backward `recomputes` them, only its input.
    package func leastTrainingBytes(
        arenas: Double, tokens: Int, recomputes: Bool, precision: Precision = .fp32
    ) -> Double {
        func activationBytes<B: Block>(_ block: B.Type, rows: Int) -> Double {
            let plan = ModelPlan(
                configuration: self, sequenceLength: 1, microBatch: rows, precision: precision,
                kept: recomputes ? .residuals : .all,
                engine: ComputeEngine(recording: ComputeEngine()))
            return Double(
                plan.engine.arena { StackActivations<B>(plan, in: &$0) }.buffer.bytes.count)
        }
        // Activations grow with the tokens; the bytes of the largest recipes overflow an Int.
        let counted = min(tokens, 1 << 20)
        let activations =
            activationBytes(Architecture.block(of: self), rows: counted) * Double(tokens)
            / Double(counted)
        return parameterBytes(precision) + 4 * Double(GPTLayout(self).arena.count) * arenas
            + activations
    }

    /// Returns the bytes of the parameters and of their rounded copy.
    package func parameterBytes(_ precision: Precision) -> Double {
        let copies = precision == .fp32 ? 0 : Double(precision.bytes) / 4
        return 4 * Double(GPTLayout(self).arena.count) * (1 + copies)
    }
}
