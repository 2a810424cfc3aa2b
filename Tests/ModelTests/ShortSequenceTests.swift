import Compute
import Model
import Testing

/// Tests of models planned for sequences that are shorter than their context.
@Suite struct ShortSequenceTests {
    /// A model with a context of 9, and one with a context of 25 that gets sequences of 9. Their
    /// parameters are equal except for the further rows of the longer position table.
    private struct Pair {
        let whole: GPT
        let short: GPT
        let parameters: Buffer<Float>
        let longParameters: Buffer<Float>

        init(dropout: Double) {
            let engine = ComputeEngine()
            whole = GPT(
                configuration(dropout: dropout), microBatch: 2, training: true, engine: engine)
            short = GPT(
                configuration(context: 25, dropout: dropout), sequenceLength: 9, microBatch: 2,
                training: true, engine: engine)
            parameters = ModelTests.parameters(whole.layout)
            longParameters = ModelTests.parameters(short.layout, seed: 4)
            for (from, to) in zip(whole.layout.arena.tensors, short.layout.arena.tensors) {
                precondition(from.name == to.name)
                (longParameters.base + to.offset).update(
                    from: parameters.base + from.offset, count: from.count)
            }
        }

        /// Returns the short model's gradient of a tensor; of the position table, only the rows
        /// that sequences reach.
        func used(_ tensor: NamedTensor, of gradients: Buffer<Float>) -> [Float] {
            let place = short.layout.arena[tensor.name]?.offset ?? -1
            return Array(gradients.elements[place..<place + tensor.count])
        }

        /// Returns the short model's gradient of the positions that no sequence reaches.
        func unused(of gradients: Buffer<Float>) -> [Float] {
            let positions = short.layout.positionEmbedding?.range ?? 0..<0
            return Array(
                gradients.elements[positions].dropFirst(9 * short.configuration.width))
        }
    }

    @Test("short sequences give the results of a short context", arguments: [0.0, 0.2])
    func shortSequencesEqualAShortContext(dropout: Double) {
        let pair = Pair(dropout: dropout)
        #expect(pair.short.tokenCount == 18 && pair.short.sequenceLength == 9)
        #expect(pair.short.activationBytes == pair.whole.activationBytes)
        let key = dropout > 0 ? DropoutKey(probability: dropout, seed: 1, step: 3) : nil
        let gradients = Buffer<Float>(count: pair.parameters.count)
        let shortGradients = Buffer<Float>(count: pair.longParameters.count)
        shortGradients.elements.update(repeating: .nan)  // The old content must not matter.
        let losses = MicroBatches(2, for: pair.whole).run(
            parameters: pair.parameters, gradients: gradients, dropout: key)
        let shortLosses = MicroBatches(2, for: pair.short).run(
            parameters: pair.longParameters, gradients: shortGradients, dropout: key)
        #expect(shortLosses == losses)
        for tensor in pair.whole.layout.arena.tensors {
            let expected = Array(gradients.elements[tensor.range])
            #expect(expected.contains { $0 != 0 }, "\(tensor.name)")
            #expect(pair.used(tensor, of: shortGradients) == expected, "\(tensor.name)")
        }
        let unused = pair.unused(of: shortGradients)
        #expect(unused.count == 16 * 24 && unused.allSatisfy { $0 == 0 })
    }

    @Test("accumulation leaves rows that no sequence reaches unchanged")
    func accumulationLeavesOtherRowsUnchanged() throws {
        let pair = Pair(dropout: 0)
        let gradients = Buffer<Float>(count: pair.longParameters.count)
        gradients.elements.update(repeating: 7)
        _ = MicroBatches(1, for: pair.short).run(
            parameters: pair.longParameters, gradients: gradients, accumulates: true)
        #expect(pair.unused(of: gradients).allSatisfy { $0 == 7 })
        let positions = gradients.matrix(try #require(pair.short.layout.positionEmbedding))
        #expect((0..<9).allSatisfy { row in (0..<24).contains { positions.row(row)[$0] != 7 } })
    }
}
