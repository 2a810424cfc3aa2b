import Compute
import Glibc

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
            let values = parameters.base + tensor.offset
            if tensor.shape.count == 2 {
                let scale = residualOffsets.contains(tensor.offset) ? 0.02 * residualScale : 0.02
                fillNormal(
                    values, count: tensor.count, standardDeviation: scale * factor, random,
                    placeNumber(of: tensor.name))
            } else {
                let isNormWeight = tensor.name.hasSuffix(".weight")
                values.update(repeating: isNormWeight ? factor : 0, count: tensor.count)
            }
        }
    }
}

/// Returns a number that depends only on a name (FNV-1a, 64 bits). It selects a tensor's random
/// numbers.
package func placeNumber(of name: String) -> UInt64 {
    name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
}

/// Fills `values` with normal numbers in pairs (Box & Muller 1958). Each depends only on its place,
/// the generator and `tensor`.
package func fillNormal(
    _ values: UnsafeMutablePointer<Float>, count: Int, standardDeviation: Float,
    _ random: CounterRandom, _ tensor: UInt64
) {
    for pair in 0..<(count + 1) / 2 {
        // The radius is in (0, 1], so that its logarithm is finite.
        let radius = 1 - random.uniform(UInt64(2 * pair), tensor)
        let angle = random.uniform(UInt64(2 * pair + 1), tensor)
        let length = (-2 * log(radius)).squareRoot()
        values[2 * pair] = standardDeviation * Float(length * cos(2 * .pi * angle))
        if 2 * pair + 1 < count {
            values[2 * pair + 1] = standardDeviation * Float(length * sin(2 * .pi * angle))
        }
    }
}
