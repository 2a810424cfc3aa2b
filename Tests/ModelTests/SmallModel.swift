import Compute
import Model
import Recipes

/// Returns a small model's shape.
func configuration(
    layers: Int = 2, width: Int = 24, heads: Int = 3, context: Int = 9, vocabulary: Int = 17,
    bias: Bool = true, dropout: Double = 0, tiesHead: Bool = true
) -> GPTConfiguration {
    var configuration = GPTConfiguration()
    configuration.layers = layers
    configuration.width = width
    configuration.heads = heads
    configuration.contextLength = context
    configuration.vocabularySize = vocabulary
    configuration.bias = bias
    configuration.dropout = dropout
    configuration.tiesHead = tiesHead
    return configuration
}

/// Returns random tokens.
func tokens(_ count: Int, below limit: Int, seed: UInt64) -> Buffer<Int32> {
    let random = CounterRandom(key: seed)
    let tokens = Buffer<Int32>(count: count)
    for index in 0..<count {
        tokens.base[index] = Int32(random.bits(UInt64(index)) % UInt64(limit))
    }
    return tokens
}

/// Returns initial parameters.
func parameters(_ layout: GPTLayout, seed: UInt64 = 3) -> Buffer<Float> {
    let parameters = Buffer<Float>(count: layout.arena.count)
    layout.initialize(parameters, seed: seed)
    return parameters
}
