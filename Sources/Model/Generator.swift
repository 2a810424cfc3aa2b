import Compute
import Recipes

/// A generator of one token at a time; its blocks cache their results for earlier tokens.
///
/// When the context is full, the generator reads its newer half again from the first position,
/// because learned positions cannot be shifted.
package final class Generator {
    private let configuration: GPTConfiguration
    private let layout: GPTLayout
    private let parameters: Parameters
    private let engine: ComputeEngine
    private let stack: any TokenStack
    private let logits: Matrix  // (1, V)
    private let products: RowProducts
    private let buffer: Buffer<Float>
    private var context: [Int32] = []

    /// Creates a generator and plans its memory for one token at a time.
    package init(
        _ configuration: GPTConfiguration, parameters: Parameters, engine: ComputeEngine
    ) {
        self.configuration = configuration
        self.parameters = parameters
        self.engine = engine
        layout = GPTLayout(configuration)
        precondition(parameters.values.count == layout.arena.count)
        // Rows are fp32 until they enter a product.
        let plan = ModelPlan(
            configuration: configuration, sequenceLength: 1, microBatch: 1, precision: .fp32,
            kept: .nothing, engine: engine)
        func stack<B: Block>(_ block: B.Type) -> any TokenStack {
            BlockTokenStack<B>(plan, parameters)
        }
        self.stack = stack(Architecture.block(of: configuration))
        let (views, buffer) = engine.arena { memory in
            (
                logits: memory.matrix(1, configuration.paddedVocabularySize),
                products: RowProducts(
                    parameters: parameters, engine: engine, widest: configuration.width,
                    in: &memory)
            )
        }
        (logits, products) = views
        self.buffer = buffer
    }

    /// The size in bytes of the memory for the blocks and their caches.
    package var bytes: Int { buffer.bytes.count + stack.bytes }

    /// Removes all tokens from the context.
    package func restart() { context.removeAll(keepingCapacity: true) }

    /// Adds a token to the context and returns the logits (V) of the next token.
    ///
    /// The returned memory is valid until the next call.
    package func next(after token: Int32) -> UnsafeBufferPointer<Float> {
        read(token)
        let weight = parameters.operand(layout.head, rows: configuration.paddedVocabularySize)
        engine.multiply(products.operand(stack.output), weight, .transposed, into: logits)
        return UnsafeBufferPointer(start: logits.base, count: configuration.vocabularySize)
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
        layout.embedding.forward(
            Int(token), position: position, parameters: parameters.values, into: stack.input,
            engine: engine)
        stack.run(position: position)
    }
}

/// The blocks of a model and its final norm for one token, for any architecture.
private protocol TokenStack {
    /// The residual stream before the first block (1, C).
    var input: Matrix { get }
    /// The output of the final norm (1, C).
    var output: Matrix { get }
    /// The size in bytes of the memory for the blocks.
    var bytes: Int { get }
    /// Runs from `input` to `output`.
    func run(position: Int)
}

private struct BlockTokenStack<B: Block>: TokenStack {
    let input: Matrix
    let output: Matrix
    private let layout: ModelLayout<B>
    private let parameters: Parameters
    private let norm: B.BlockNorm
    private let normalized: B.BlockNorm.Activations
    private let step: B.Generation
    private let buffer: Buffer<Float>

    var bytes: Int { buffer.bytes.count + step.bytes + norm.bytes }

    init(_ plan: ModelPlan, _ parameters: Parameters) {
        self.parameters = parameters
        layout = ModelLayout<B>(plan.configuration)
        norm = B.BlockNorm(plan)
        let (views, buffer) = plan.engine.arena { memory in
            (
                input: memory.matrix(1, plan.configuration.width),
                normalized: B.BlockNorm.Activations(plan, in: &memory),
                step: B.Generation(plan, parameters: parameters, in: &memory)
            )
        }
        (input, normalized, step) = views
        self.buffer = buffer
        guard let output = normalized.output.matrix else {
            preconditionFailure("rows are in fp32")
        }
        self.output = output
    }

    func run(position: Int) {
        for (index, block) in layout.blocks.enumerated() {
            step.run(index, block, position: position, residual: input)
        }
        norm.forward(input, layout.finalNorm, into: normalized, parameters: parameters)
    }
}
