import Compute
import Recipes

/// Where each parameter of a GPT lies in the arena, under the names of Hugging Face's GPT-2.
///
/// The order is that of the forward pass, so backward finishes the arena from its end to its start.
/// V is the vocabulary, T the context length, C the width. Biases are nil in a model without them.
package struct GPTLayout: Sendable {
    package let arena: ArenaLayout
    /// wte: (V, C), with rows up to the padded vocabulary behind; the head is tied to it.
    package let tokenEmbedding: NamedTensor
    /// wpe: (T, C).
    package let positionEmbedding: NamedTensor
    package let blocks: [Block]
    package let finalNorm: Norm
    /// The arena's elements up to the first block: both embeddings.
    package let embeddingRange: Range<Int>

    /// The parameters of one transformer block.
    package struct Block: Sendable {
        package let attentionNorm: Norm
        /// c_attn: (C, 3C), queries, keys and values side by side.
        package let qkv: Projection
        /// attn.c_proj: (C, C).
        package let attentionProjection: Projection
        package let feedForwardNorm: Norm
        /// c_fc: (C, 4C).
        package let up: Projection
        /// mlp.c_proj: (4C, C).
        package let down: Projection
    }

    /// A layer norm's weight (C) and bias (C).
    package struct Norm: Sendable {
        package let weight: NamedTensor
        package let bias: NamedTensor?
        /// Both tensors' elements in the arena, gaps included.
        package let range: Range<Int>
    }

    /// A linear layer's weight (inputs, outputs) and bias (outputs).
    package struct Projection: Sendable {
        package let weight: NamedTensor
        package let bias: NamedTensor?
        /// Both tensors' elements in the arena, gaps included.
        package let range: Range<Int>
    }

    package init(_ configuration: GPTConfiguration) {
        var arena = ArenaLayout()
        let c = configuration.width
        let padding = configuration.paddedVocabularySize - configuration.vocabularySize

        func norm(_ name: String) -> Norm {
            let start = arena.count
            let weight = arena.append("\(name).weight", shape: [c])
            let bias = configuration.bias ? arena.append("\(name).bias", shape: [c]) : nil
            return Norm(weight: weight, bias: bias, range: start..<arena.count)
        }
        func projection(_ name: String, _ inputs: Int, _ outputs: Int) -> Projection {
            let start = arena.count
            let weight = arena.append("\(name).weight", shape: [inputs, outputs])
            let bias = configuration.bias ? arena.append("\(name).bias", shape: [outputs]) : nil
            return Projection(weight: weight, bias: bias, range: start..<arena.count)
        }

        tokenEmbedding = arena.append(
            "wte.weight", shape: [configuration.vocabularySize, c], padding: padding * c)
        positionEmbedding = arena.append("wpe.weight", shape: [configuration.contextLength, c])
        embeddingRange = 0..<arena.count
        blocks = (0..<configuration.layers).map { layer in
            let attentionNorm = norm("h.\(layer).ln_1")
            let qkv = projection("h.\(layer).attn.c_attn", c, 3 * c)
            let attentionProjection = projection("h.\(layer).attn.c_proj", c, c)
            let feedForwardNorm = norm("h.\(layer).ln_2")
            let up = projection("h.\(layer).mlp.c_fc", c, 4 * c)
            let down = projection("h.\(layer).mlp.c_proj", 4 * c, c)
            return Block(
                attentionNorm: attentionNorm, qkv: qkv, attentionProjection: attentionProjection,
                feedForwardNorm: feedForwardNorm, up: up, down: down)
        }
        finalNorm = norm("ln_f")
        self.arena = arena
    }
}

extension GPTConfiguration {
    /// Parameters, embeddings included.
    package var parameterCount: Int { GPTLayout(self).arena.elementCount }

    /// Floating-point operations to train on one token of a sequence of T tokens: 6 N + 12 L H D T,
    /// where N leaves the position embedding out (Chowdhery et al. 2022, appendix B; nanoGPT).
    package func flopsPerToken(sequenceLength: Int) -> Double {
        let counted = parameterCount - contextLength * width
        return 6 * Double(counted) + 12 * Double(layers * width * sequenceLength)
    }
}
