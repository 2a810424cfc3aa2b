import Compute
import Model
import Recipes
import Testing

/// Tests that documents of a sequence are computed as if each were a sequence of its own.
@Suite struct DocumentTests {
    /// The lengths of the documents of two sequences of 61 tokens, which cross the blocks of attention.
    private static let lengths = [[23, 1, 2, 30, 5], [61]]
    private static let context = 61

    private static func shape(isLlama: Bool) -> GPTConfiguration {
        var shape = configuration(width: 24, heads: 3, context: context)
        guard isLlama else { return shape }
        shape.architecture = "llama"
        shape.kvHeads = 1
        shape.hiddenWidth = 32
        return shape
    }

    private static func positions() -> Buffer<Int32> {
        let positions = Buffer<Int32>(count: 2 * context)
        for (index, position) in lengths.joined().flatMap({ 0..<$0 }).enumerated() {
            positions.base[index] = Int32(position)
        }
        return positions
    }

    private struct Result {
        var loss = 0.0
        var gradients: [Double] = []
    }

    /// Returns the loss of both sequences and its gradients.
    private func together(
        _ shape: GPTConfiguration, _ precision: Precision, positions: Buffer<Int32>?,
        dropout: DropoutKey? = nil, recomputes: Bool = false
    ) -> Result {
        let model = GPT(
            shape, microBatch: 2, training: true, precision: precision, recomputes: recomputes,
            engine: ComputeEngine(threads: 2))
        let inputs = tokens(2 * Self.context, below: 17, seed: 4)
        let targets = tokens(2 * Self.context, below: 17, seed: 5)
        let values = scaledParameters(model.layout)
        let gradients = Buffer<Float>(count: values.count)
        let batch = TokenBatch(
            inputs: inputs.base, targets: targets.base, positions: positions?.base)
        let parameters = Parameters(values, precision: precision)
        model.forward(batch, parameters: parameters, dropout: dropout)
        let loss = model.backward(
            batch, parameters: parameters, gradients: gradients, gradientScale: 1,
            accumulates: false, dropout: dropout, finished: { _ in })
        return Result(loss: loss, gradients: gradients.elements.map(Double.init))
    }

    /// Returns the sums over all documents, each of which is a sequence by itself.
    private func apart(_ shape: GPTConfiguration, _ precision: Precision) -> Result {
        let inputs = tokens(2 * Self.context, below: 17, seed: 4)
        let targets = tokens(2 * Self.context, below: 17, seed: 5)
        var result = Result()
        var start = 0
        for length in Self.lengths.joined() {
            let model = GPT(
                shape, sequenceLength: length, microBatch: 1, training: true,
                precision: precision, engine: ComputeEngine())
            let values = scaledParameters(model.layout)
            let gradients = Buffer<Float>(count: values.count)
            let batch = TokenBatch(inputs: inputs.base + start, targets: targets.base + start)
            let parameters = Parameters(values, precision: precision)
            model.forward(batch, parameters: parameters, dropout: nil)
            result.loss += model.backward(
                batch, parameters: parameters, gradients: gradients, gradientScale: 1,
                accumulates: false, dropout: nil, finished: { _ in })
            let own = gradients.elements.map(Double.init)
            result.gradients =
                result.gradients.isEmpty ? own : zip(result.gradients, own).map { $0 + $1 }
            start += length
        }
        return result
    }

    /// Returns parameters whose attention is far from uniform.
    private func scaledParameters(_ layout: GPTLayout) -> Buffer<Float> {
        let values = parameters(layout)
        for index in 0..<values.count { values.base[index] *= 4 }
        return values
    }

    @Test(
        "the loss and the gradients are those of each document by itself",
        arguments: [false, true], [(Precision.fp32, 1e-5), (.bf16, 3e-2)])
    func lossAndGradientsAreThoseOfEachDocument(
        isLlama: Bool, precision: (Precision, Double)
    ) {
        let shape = Self.shape(isLlama: isLlama)
        let found = together(shape, precision.0, positions: Self.positions())
        let expected = apart(shape, precision.0)
        #expect(abs(found.loss / expected.loss - 1) < precision.1)
        let error = relativeError(found.gradients, expected.gradients)
        #expect(error < precision.1, "\(error)")
        // Without the positions, documents see each other.
        let mixed = together(shape, precision.0, positions: nil)
        #expect(relativeError(mixed.gradients, expected.gradients) > 10 * error)
        let again = together(
            shape, precision.0, positions: Self.positions(), recomputes: true)
        #expect(again.loss == found.loss && again.gradients == found.gradients)
    }

    @Test("sequences of one document keep their bits", arguments: [false, true])
    func sequencesOfOneDocumentKeepTheirBits(isLlama: Bool) {
        let shape = Self.shape(isLlama: isLlama)
        let positions = Buffer<Int32>(count: 2 * Self.context)
        for row in 0..<positions.count { positions.base[row] = Int32(row % Self.context) }
        for precision in [Precision.fp32, .bf16] {
            let found = together(shape, precision, positions: positions)
            let expected = together(shape, precision, positions: nil)
            #expect(found.loss == expected.loss && found.gradients == expected.gradients)
        }
    }

    /// The loss changes along each direction as its gradient says.
    @Test("gradients with dropout agree with finite differences")
    func gradientsWithDropoutAgreeWithFiniteDifferences() {
        var shape = Self.shape(isLlama: false)
        shape.dropout = 0.2
        let engine = ComputeEngine()
        let model = GPT(shape, microBatch: 2, training: true, engine: engine)
        let inputs = tokens(2 * Self.context, below: 17, seed: 4)
        let targets = tokens(2 * Self.context, below: 17, seed: 5)
        let positions = Self.positions()
        let batch = TokenBatch(
            inputs: inputs.base, targets: targets.base, positions: positions.base)
        let key = DropoutKey(probability: 0.2, seed: 3, step: 1)
        let values = scaledParameters(model.layout)
        let gradients = Buffer<Float>(count: values.count)
        model.forward(batch, parameters: Parameters(values), dropout: key)
        _ = model.backward(
            batch, parameters: Parameters(values), gradients: gradients, gradientScale: 1,
            accumulates: false, dropout: key, finished: { _ in })
        let random = CounterRandom(key: 12)
        for direction in 0..<4 {
            let signs = (0..<values.count).map {
                random.bits(UInt64($0), UInt64(direction)) & 1 == 0 ? 1.0 : -1.0
            }
            func loss(_ step: Double) -> Double {
                let moved = Buffer<Float>(count: values.count)
                for index in 0..<values.count {
                    moved.base[index] = Float(Double(values.base[index]) + step * signs[index])
                }
                model.forward(batch, parameters: Parameters(moved), dropout: key)
                return model.loss(batch, parameters: Parameters(moved))
            }
            let step = 2e-4
            let slope = (loss(step) - loss(-step)) / (2 * step)
            let expected = zip(gradients.elements, signs).reduce(0) { $0 + Double($1.0) * $1.1 }
            #expect(abs(slope - expected) < 0.02 * abs(expected) + 0.05, "\(slope) \(expected)")
        }
    }
}
