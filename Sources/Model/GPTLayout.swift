import Compute
import Recipes

/// The place of each parameter of a model in the arena, under its name in Hugging Face's
/// checkpoints.
///
/// The order is that of the forward pass, so backward finishes the arena from its end to its start.
/// V is the vocabulary, T the context length, C the width.
package struct GPTLayout: Sendable {
    package let arena: ArenaLayout
    let embedding: Embedding
    package let blocks: [BlockPlaces]
    /// The range of the final norm in the arena.
    package let finalNormRange: Range<Int>
    /// The head's weight (V, C), padded like the token table. A tied head's weight is the token
    /// table.
    package let head: NamedTensor
    /// The factors of each tensor of the arena, in its order.
    package let factors: [TensorFactors]
    /// The weights of the products in the blocks, in the order of the arena.
    package let matrices: [LayerMatrix]
}

extension GPTLayout {
    /// Lays out the parameters of the configuration's architecture.
    package init(_ configuration: GPTConfiguration) {
        func layout<B: Block>(_ block: B.Type) -> GPTLayout {
            ModelLayout<B>(configuration).outer
        }
        self = layout(Architecture.block(of: configuration))
    }

    /// The token table (V, C), followed by rows up to the padded vocabulary.
    package var tokenEmbedding: NamedTensor { embedding.tokens }
    /// The table of learned positions (T, C), or nil if the architecture has none.
    package var positionEmbedding: NamedTensor? { embedding.positions }
    /// The range of the embeddings in the arena.
    package var embeddingRange: Range<Int> { embedding.range }

    /// Returns whether the rows of a matrix are the weights of its neurons: each the vector of a
    /// token or position, or of one output of a projection. Otherwise its columns are.
    package func hasNeuronsAsRows(_ tensor: NamedTensor) -> Bool {
        tensor == tokenEmbedding || tensor == positionEmbedding || tensor == head
            || blocks.first?.storage == .transposed
    }

    /// Whether the head's weight is the token table.
    var isTied: Bool { head == tokenEmbedding }
}

/// The layout of a model of one architecture.
struct ModelLayout<B: Block> {
    let outer: GPTLayout
    let blocks: [B.Layout]
    let finalNorm: B.BlockNorm.Layout

    init(_ configuration: GPTConfiguration) {
        var arena = ArenaLayout()
        let embedding = Embedding(configuration, B.outerNames, in: &arena)
        blocks = (0..<configuration.layers).map {
            B.Layout(configuration, layer: $0, in: &arena)
        }
        finalNorm = B.BlockNorm.Layout(B.outerNames.finalNorm, configuration, in: &arena)
        let head =
            configuration.tiesHead
            ? embedding.tokens : arena.appendTable(B.outerNames.head, configuration)
        let (places, finalNormRange) = (blocks.map(\.places), finalNorm.range)
        let residual = places.flatMap(\.residualProjections)
        func role(_ tensor: NamedTensor) -> TensorRole {
            if embedding.range.contains(tensor.offset) { return .embedding }
            if finalNormRange.contains(tensor.offset) { return .finalNorm }
            if tensor == head { return .head }
            let isMatrix = tensor.shape.count == 2
            return residual.contains { $0.range.contains(tensor.offset) }
                ? isMatrix ? .residualMatrix : .residualBias
                : isMatrix ? .blockMatrix : .blockVector
        }
        let parts = Dictionary(
            uniqueKeysWithValues: places.flatMap(\.joinedProjections).map {
                ($0.projection.weight.offset, $0.parts)
            })
        let matrices = arena.tensors.compactMap { tensor in
            switch role(tensor) {
            case .blockMatrix, .residualMatrix:
                LayerMatrix(tensor, parts: parts[tensor.offset] ?? 1)
            default: nil
            }
        }
        outer = GPTLayout(
            arena: arena, embedding: embedding, blocks: places, finalNormRange: finalNormRange,
            head: head, factors: arena.tensors.map { configuration.factors(of: role($0)) },
            matrices: matrices)
    }
}

extension ArenaLayout {
    /// Places a table with a row for each token (V, C), and zeros up to the padded vocabulary.
    mutating func appendTable(_ name: String, _ configuration: GPTConfiguration) -> NamedTensor {
        let padding = configuration.paddedVocabularySize - configuration.vocabularySize
        return append(
            name, shape: [configuration.vocabularySize, configuration.width],
            padding: padding * configuration.width)
    }
}

extension GPTConfiguration {
    /// The number of parameters, embeddings included.
    package var parameterCount: Int { GPTLayout(self).arena.elementCount }

    /// The number of parameters outside the embeddings and the head, which does not depend on the
    /// vocabulary.
    package var innerParameterCount: Int {
        var configuration = self
        configuration.vocabularySize = 1
        let layout = GPTLayout(configuration)
        return layout.arena.tensors.reduce(0) { sum, tensor in
            let isOuter =
                layout.embeddingRange.contains(tensor.offset) || tensor == layout.head
            return isOuter ? sum : sum + tensor.count
        }
    }

    /// Returns the floating-point operations to train on one token of a sequence of T tokens: 6 N +
    /// 12 L H D T, where N excludes the position embedding (Chowdhery et al. 2022, appendix B;
    /// nanoGPT) and a token embedding that is not also the head.
    package func flopsPerToken(sequenceLength: Int) -> Double {
        let layout = GPTLayout(self)
        let counted =
            layout.arena.elementCount - (layout.positionEmbedding?.count ?? 0)
            - (layout.isTied ? 0 : layout.tokenEmbedding.count)
        return 6 * Double(counted) + 12 * Double(layers * width * sequenceLength)
    }
}
