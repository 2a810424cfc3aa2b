import Compute

extension GPTLayout {
    /// Fills a parameter arena with GPT-2's initialization, times the tensors' factors.
    ///
    /// Matrices and embeddings are normal with standard deviation 0.02, the projections back into
    /// the residual stream with 0.02 / sqrt(2 L) (Radford et al. 2019, section 2.3); norms start as
    /// the identity and biases at zero. Each number depends only on the seed, its tensor's name and
    /// its place in the tensor.
    package func initialize(_ parameters: Buffer<Float>, seed: UInt64) {
        precondition(parameters.count >= arena.count, "the arena holds all parameters")
        let random = CounterRandom(seed: seed, stream: .initialization)
        let residualScale = 1 / Float(2 * blocks.count).squareRoot()
        let residualOffsets = Set(blocks.flatMap(\.residualProjections).map(\.weight.offset))
        for (tensor, factors) in zip(arena.tensors, factors) {
            let factor = Float(factors.initial)
            if tensor.shape.count == 2 {
                let scale = residualOffsets.contains(tensor.offset) ? 0.02 * residualScale : 0.02
                random.fillNormal(
                    parameters.vector(tensor), standardDeviation: scale * factor,
                    tensor: placeNumber(of: tensor.name))
            } else {
                let isNormWeight = tensor.name.hasSuffix(".weight")
                parameters.elements[tensor.range].update(repeating: isNormWeight ? factor : 0)
            }
        }
    }
}

/// Returns a number that depends only on a name (FNV-1a, 64 bits). It selects a tensor's random
/// numbers.
package func placeNumber(of name: String) -> UInt64 {
    name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
}
