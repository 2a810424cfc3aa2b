import Compute
import Recipes

/// The architectures that a recipe can name.
enum Architecture {
    /// The block of each architecture, by the recipe's `[model] architecture`.
    static var blocks: [String: any Block.Type] {
        [
            "gpt2": GPT2Block.self,
            "llama": LlamaBlock.self,
        ]
    }

    /// Returns the block of a configuration that has been validated.
    static func block(of configuration: GPTConfiguration) -> any Block.Type {
        guard let block = blocks[configuration.architecture] else {
            preconditionFailure("no architecture is named \(configuration.architecture)")
        }
        return block
    }
}

/// The names of the tensors outside the blocks, as in Hugging Face's checkpoints.
struct OuterNames {
    let tokenEmbedding: String
    /// The name of the table of learned positions, or nil if the architecture has none.
    let positionEmbedding: String?
    /// The name of the final norm, without the suffix of its parameters.
    let finalNorm: String
    /// The name of a head that is not tied to the token embedding.
    let head: String
}

/// A part of a block, which the block declares.
package struct BlockPart: Sendable, Hashable {
    /// The name of the part in a trace.
    package let name: String

    init(_ name: String) { self.name = name }

    static let attention = BlockPart("attention")
    static let feedForward = BlockPart("MLP")
}

/// A part of the forward pass, which is reported to an observer when it is done.
package enum ForwardPart: Sendable, Equatable {
    case embedding
    /// A part of a block, with its norm and residual.
    case block(BlockPart, layer: Int)
    case finalNorm
}

/// The properties of a layer's parameters that do not depend on its architecture.
package struct BlockPlaces: Sendable {
    /// The block's parts in the order of the forward pass, each with its elements in the arena.
    package let parts: [(part: BlockPart, range: Range<Int>)]
    /// The projections back into the residual stream, whose weights start smaller.
    let residualProjections: [Projection]
    /// The projections whose weights are several matrices side by side, with their number.
    var joinedProjections: [(projection: Projection, parts: Int)] = []
    /// The storage of all projections' weights.
    let storage: Storage
}
