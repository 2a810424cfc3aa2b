import Compute
import Recipes
import Support

/// The interface between a model and its architecture: a transformer block, which is one layer
/// between the embedding and the final norm.
///
/// To add an architecture:
/// 1. Write a type that conforms to `Block` in a file of its own, as `GPT2Block` does.
/// 2. Add a line to `Architecture.blocks`, and the name to those that `GPTConfiguration` accepts,
///    because recipes are checked without the model.
///
/// The loop over layers, recomputation, dropout, the memory plan, checkpoints, generation and
/// traces follow from the conformance. N = B T rows are the tokens of a micro-batch, C are the
/// channels.
protocol Block {
    /// The places of one layer's parameters.
    associatedtype Layout: BlockLayout
    /// The values of one layer that forward keeps for backward.
    associatedtype Activations: Planned
    /// The memory that all layers share because it is free between two of them, and while the head
    /// runs.
    associatedtype Temporaries: Planned
    /// The norm of the architecture, which is also the model's final norm.
    associatedtype BlockNorm: Norm
    /// The block's step of generating one token.
    associatedtype Generation: GenerationStep where Generation.Layout == Layout

    /// The names of the tensors outside the blocks.
    static var outerNames: OuterNames { get }

    /// The name of the architecture in the entry `model_type` of Hugging Face's `config.json`.
    static var huggingFaceType: String { get }

    /// The prefix that Hugging Face's models put before the names of all tensors but the head's.
    static var huggingFacePrefix: String { get }

    /// Returns the entries of `config.json` by which Hugging Face's Transformers knows the
    /// architecture and its sizes.
    static func huggingFaceEntries(_ configuration: GPTConfiguration) -> JSONObject

    /// Reads the sizes of a model from the entries of its `config.json`.
    ///
    /// - Throws: `Failure` (bad data) if the architecture cannot represent the model.
    static func configuration(of entries: HuggingFaceEntries) throws(Failure) -> GPTConfiguration

    /// Returns whether a tensor of a folder, named without prefix, is a buffer without parameters.
    static func isHuggingFaceBuffer(_ name: String) -> Bool

    init(_ plan: ModelPlan, norm: BlockNorm, temporaries: Temporaries)

    /// The bytes of the block's own memory, which all layers share.
    var bytes: Int { get }

    /// Runs a layer from `input` to `output` (N, C), the residual stream before and after it.
    ///
    /// Without an `output` it only recomputes the activations. It calls `finished` after each part
    /// of its layout.
    func forward(
        _ layer: Layer<Self>, _ pass: Pass, input: Matrix, output: Matrix?,
        betweenTiles: () -> Void, finished: (BlockPart) -> Void)

    /// Propagates the residual stream's gradient, `flow.residual`, from the output of a layer to
    /// its input, and computes the parameters' gradients. It may overwrite the activations.
    ///
    /// It calls `finished` with each range of gradients as soon as it is complete, from the layer's
    /// end to its start.
    func backward(
        _ layer: Layer<Self>, _ pass: Pass, into gradients: GradientArena, input: Matrix,
        flow: ResidualGradient, betweenTiles: () -> Void, finished: (Range<Int>) -> Void)
}

/// One layer of a model.
struct Layer<B: Block> {
    let index: Int
    let layout: B.Layout
    let activations: B.Activations
}

/// The places of one layer's parameters.
protocol BlockLayout: Sendable {
    /// Places the parameters after those in `arena`, in the order of the forward pass.
    init(_ configuration: GPTConfiguration, layer: Int, in arena: inout ArenaLayout)
    /// The same places, in a form that does not depend on the architecture.
    var places: BlockPlaces { get }
}

/// Views of memory that a model keeps. The memory plan is the sum of what their initializers take.
protocol Planned {
    init(_ plan: ModelPlan, in memory: inout ArenaCursor)
}

/// A norm over the channels.
protocol Norm {
    /// The places of a norm's parameters.
    associatedtype Layout: NormLayout
    /// The values that forward computes and keeps for backward.
    associatedtype Activations: NormActivations

    init(_ plan: ModelPlan)
    /// The bytes of the norm's own memory.
    var bytes: Int { get }
    func forward(
        _ input: Matrix, _ layout: Layout, into result: Activations, parameters: Parameters)
    /// Propagates the gradient of the norm's output, `flow.branch`, and adds it to `flow.residual`,
    /// because `input` enters both.
    func backward(
        _ activations: Activations, _ layout: Layout, _ pass: Pass, into gradients: GradientArena,
        input: Matrix, flow: ResidualGradient)
}

protocol NormLayout: Sendable {
    init(_ name: String, _ configuration: GPTConfiguration, in arena: inout ArenaLayout)
    /// The elements in the arena, gaps included.
    var range: Range<Int> { get }
}

protocol NormActivations: Planned {
    var output: Operand { get }  // (N, C)
}

/// A runner of layers on one token, with the cached keys and values of the tokens before it.
protocol GenerationStep {
    associatedtype Layout: BlockLayout
    /// Allocates memory for one token and for the caches of all layers.
    init(_ plan: ModelPlan, parameters: Parameters, in memory: inout ArenaCursor)
    /// The bytes of the runner's own memory outside of the arena.
    var bytes: Int { get }
    /// Adds a layer's output for the token at `position` to the residual stream (1, C).
    func run(_ layer: Int, _ layout: Layout, position: Int, residual: Matrix)
}
