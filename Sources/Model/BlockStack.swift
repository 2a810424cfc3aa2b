import Compute
import Recipes

/// The blocks of a model and its final norm, for any architecture.
protocol Stack {
    /// The residual stream before each block and after the last (N, C).
    var residuals: [Matrix] { get }
    /// The final norm of the residual stream after the last block (N, C).
    var output: Operand { get }
    /// The memory for the logits of a chunk of rows (rows, V), which the blocks overwrite.
    var logits: Matrix { get }
    /// The gradients between the parts, or nil in a model that only evaluates.
    var flow: ResidualGradient? { get }
    /// The bytes of the activations, their gradients and the sums over them.
    var bytes: Int { get }

    /// Runs from the first of `residuals` to `output`, and calls `finished` after each part.
    func forward(_ pass: Pass, finished: (ForwardPart) -> Void)
    /// Propagates the gradient of the final norm's output, `flow.branch`, to that of the first
    /// block's input, `flow.residual`. The parameters are those of `GPT.backward`.
    func backward(
        _ pass: Pass, into gradients: GradientArena, betweenTiles: () -> Void,
        recomputed: (Int) -> Void, finished: (Range<Int>) -> Void)
}

/// The blocks and the final norm of a model of one architecture.
struct BlockStack<B: Block>: Stack {
    private let plan: ModelPlan
    private let block: B
    private let norm: B.BlockNorm
    private let finalNormLayout: B.BlockNorm.Layout
    private let layers: [Layer<B>]
    private let activations: StackActivations<B>
    private let buffer: Buffer<Float>

    init(_ plan: ModelPlan) {
        self.plan = plan
        let layout = ModelLayout<B>(plan.configuration)
        let (activations, buffer) = plan.engine.arena { StackActivations<B>(plan, in: &$0) }
        self.activations = activations
        self.buffer = buffer
        norm = B.BlockNorm(plan)
        block = B(plan, norm: norm, temporaries: activations.temporaries)
        finalNormLayout = layout.finalNorm
        layers = layout.blocks.enumerated().map { index, layout in
            Layer(index: index, layout: layout, activations: activations.layers[index])
        }
    }

    var residuals: [Matrix] { activations.residuals }
    var output: Operand { activations.finalNorm.output }
    var logits: Matrix { activations.logits }
    var flow: ResidualGradient? { activations.flow }
    var bytes: Int { buffer.bytes.count + norm.bytes + block.bytes }

    func forward(_ pass: Pass, finished: (ForwardPart) -> Void) {
        let residuals = activations.residuals
        for layer in layers {
            block.forward(
                layer, pass, input: residuals[layer.index], output: residuals[layer.index + 1],
                betweenTiles: {},
                finished: { part in finished(.block(part, layer: layer.index)) })
        }
        norm.forward(
            residuals[layers.count], finalNormLayout, into: activations.finalNorm,
            parameters: pass.parameters)
        finished(.finalNorm)
    }

    func backward(
        _ pass: Pass, into gradients: GradientArena, betweenTiles: () -> Void,
        recomputed: (Int) -> Void, finished: (Range<Int>) -> Void
    ) {
        guard let flow else { preconditionFailure("a model for evaluation has no backward pass") }
        if !plan.engine.isRecording {
            flow.residual.base.update(
                repeating: 0, count: flow.residual.rows * flow.residual.columns)
        }
        norm.backward(
            activations.finalNorm, finalNormLayout, pass, into: gradients,
            input: activations.residuals[layers.count], flow: flow)
        finished(finalNormLayout.range)
        // Iterating over the reversed array would allocate for each layer of a generic block.
        for index in stride(from: layers.count - 1, through: 0, by: -1) {
            let layer = layers[index]
            let input = activations.residuals[layer.index]
            // The last block's activations are still in memory.
            if plan.kept == .residuals && layer.index < layers.count - 1 {
                block.forward(
                    layer, pass, input: input, output: nil, betweenTiles: betweenTiles,
                    finished: { _ in })
                recomputed(layer.index)
            }
            block.backward(
                layer, pass, into: gradients, input: input, flow: flow,
                betweenTiles: betweenTiles, finished: finished)
        }
    }
}

/// The places of the activations of a micro-batch in one arena.
///
/// N = B T rows are the tokens of B sequences; C channels, H heads, V padded vocabulary. Inputs of
/// products have the model's precision; everything else is fp32.
struct StackActivations<B: Block>: Planned {
    /// The residual stream before each block and after the last, L + 1 times (N, C).
    let residuals: [Matrix]
    /// The activations of each block; blocks that keep none share one place.
    let layers: [B.Activations]
    let finalNorm: B.BlockNorm.Activations
    let logits: Matrix  // (rows of a head chunk, V)
    let temporaries: B.Temporaries
    let flow: ResidualGradient?

    init(_ plan: ModelPlan, in memory: inout ArenaCursor) {
        let shape = plan.configuration
        let (n, c, l) = (plan.rows, shape.width, shape.layers)
        // A block may overwrite its input, which it no longer reads when it writes its output.
        let residuals = (0..<(plan.isTraining ? l + 1 : 1)).map { _ in memory.matrix(n, c) }
        let layers = (0..<(plan.kept == .all ? l : 1)).map { _ in
            B.Activations(plan, in: &memory)
        }
        self.residuals = (0...l).map { residuals[min($0, residuals.count - 1)] }
        self.layers = (0..<l).map { layers[min($0, layers.count - 1)] }
        finalNorm = B.BlockNorm.Activations(plan, in: &memory)
        (logits, temporaries) = memory.overlay(
            { $0.matrix(shape.logitRows(of: n), shape.paddedVocabularySize) },
            { B.Temporaries(plan, in: &$0) })
        flow = plan.isTraining ? ResidualGradient(plan, in: &memory) : nil
    }
}
