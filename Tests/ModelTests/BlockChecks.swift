import Compute
import Model
import Recipes
import Testing

// Checks that the block of every architecture must pass.

/// Expects that the backward pass of a small model finishes the whole arena from its end.
func expectFinishedArena(_ shape: GPTConfiguration) {
    let model = GPT(shape, microBatch: 1, training: true, engine: ComputeEngine())
    let inputs = tokens(9, below: 17, seed: 8)
    let batch = TokenBatch(inputs: inputs.base, targets: inputs.base)
    let values = parameters(model.layout)
    let gradients = Buffer<Float>(count: values.count)
    var ranges: [Range<Int>] = []
    var atFinish: [[Float]] = []
    model.forward(batch, parameters: Parameters(values), dropout: nil)
    _ = model.backward(
        batch, parameters: Parameters(values), gradients: gradients, gradientScale: 1,
        accumulates: false, dropout: nil
    ) { range in
        ranges.append(range)
        atFinish.append(Array(gradients.elements[range]))
    }
    #expect(ranges.first?.upperBound == values.count)
    #expect(ranges.last?.lowerBound == 0)
    #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.lowerBound == $1.upperBound })
    for (range, values) in zip(ranges, atFinish) {
        #expect(gradients.elements[range].elementsEqual(values), "changed after it was finished")
    }
}

/// Returns the distance of a generator's logits from those of a model at each token.
///
/// - Parameter shape: a small model with a context of 12 and a vocabulary of 17.
func generationErrors(
    _ shape: GPTConfiguration, _ own: Precision, against other: Precision
) -> [Double] {
    let engine = ComputeEngine()
    let model = GPT(shape, microBatch: 1, training: false, precision: other, engine: engine)
    let values = parameters(model.layout)
    for index in 0..<values.count { values.base[index] *= 5 }
    let rounded = Parameters(values, precision: other)
    let text = tokens(30, below: 17, seed: 11)
    let generator = Generator(
        shape, parameters: Parameters(values, precision: own), engine: engine)
    var start = 0
    return (0..<30).map { position in
        // A full context is cut to its newer half before the next token.
        if position - start == 12 { start = position - 5 }
        let logits = generator.next(after: text.base[position]).map(Double.init)
        let padded = Buffer<Int32>(count: 12)
        for t in start...position { padded.base[t - start] = text.base[t] }
        let batch = TokenBatch(inputs: padded.base, targets: padded.base)
        model.forward(batch, parameters: rounded, dropout: nil)
        let all = Buffer<Float>(count: 12 * shape.paddedVocabularySize)
        model.logits(
            parameters: rounded,
            into: Matrix(all.base, rows: 12, columns: shape.paddedVocabularySize))
        let row = (position - start) * shape.paddedVocabularySize
        let expected = (0..<17).map { Double(all.base[row + $0]) }
        return relativeError(logits, expected)
    }
}
