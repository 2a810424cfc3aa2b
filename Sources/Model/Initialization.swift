import Compute
import Glibc

extension GPTLayout {
    /// Fills a parameter arena with GPT-2's initialisation.
    ///
    /// Matrices and embeddings are normal with standard deviation 0.02, the projections back into
    /// the residual stream with 0.02 / sqrt(2 L) (Radford et al. 2019, section 2.3); norms start as
    /// the identity and biases at zero. Each number is a function of the seed, its tensor's name
    /// and its place there alone.
    package func initialize(_ parameters: Buffer<Float>, seed: UInt64) {
        precondition(parameters.count >= arena.count, "the arena holds all parameters")
        let random = CounterRandom(seed: seed, stream: .initialization)
        let residualScale = 1 / Float(2 * blocks.count).squareRoot()
        for tensor in arena.tensors {
            let values = parameters.base + tensor.offset
            if tensor.shape.count == 2 {
                let scale = tensor.name.hasSuffix("c_proj.weight") ? 0.02 * residualScale : 0.02
                fillNormal(
                    values, count: tensor.count, standardDeviation: scale, random,
                    placeNumber(of: tensor.name))
            } else {
                let isNormWeight = tensor.name.hasSuffix(".weight")
                values.update(repeating: isNormWeight ? 1 : 0, count: tensor.count)
            }
        }
    }
}

/// A number for a name, which other names do not change (FNV-1a, 64 bits): where a tensor's random
/// numbers are drawn.
package func placeNumber(of name: String) -> UInt64 {
    name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
}

/// Normal numbers by pairs (Box & Muller 1958), each a function of its place, the generator and
/// `tensor` alone.
package func fillNormal(
    _ values: UnsafeMutablePointer<Float>, count: Int, standardDeviation: Float,
    _ random: CounterRandom, _ tensor: UInt64
) {
    for pair in 0..<(count + 1) / 2 {
        // In (0, 1], so that the logarithm is finite.
        let radius = 1 - random.uniform(UInt64(2 * pair), tensor)
        let angle = random.uniform(UInt64(2 * pair + 1), tensor)
        let length = (-2 * log(radius)).squareRoot()
        values[2 * pair] = standardDeviation * Float(length * cos(2 * .pi * angle))
        if 2 * pair + 1 < count {
            values[2 * pair + 1] = standardDeviation * Float(length * sin(2 * .pi * angle))
        }
    }
}
