import Compute
import Model
import Testing

/// Compares the scratch memory that a plan expects with the memory that a step allocates.
@Suite struct ScratchTests {
    /// Shapes whose widest products, depths and attention differ.
    private static let shapes = [
        configuration(),
        configuration(width: 32, heads: 2, context: 130, vocabulary: 300),
        configuration(layers: 1, width: 200, heads: 2, context: 9, vocabulary: 3500, bias: false),
        configuration(layers: 1, width: 24, heads: 3, context: 900),
        configuration(width: 200, heads: 2, bias: false, dropout: 0.1, tiesHead: false),
    ]

    @Test("a step allocates the planned scratch memory", arguments: 0..<5, Precision.allCases)
    func stepAllocatesThePlannedScratch(shape: Int, precision: Precision) {
        let configuration = Self.shapes[shape]
        for (recomputes, threads) in [(false, 1), (true, 1), (false, 3)] {
            let engine = ComputeEngine(threads: threads)
            let model = GPT(
                configuration, microBatch: 2, training: true, precision: precision,
                recomputes: recomputes, engine: engine)
            let parameters = ModelTests.parameters(model.layout)
            let planned = model.scratchBytes(
                parameters: Parameters(parameters, precision: precision))
            #expect(engine.scratchBytes == 0, "planning allocates nothing")
            let gradients = Buffer<Float>(count: parameters.count)
            let key = DropoutKey(probability: configuration.dropout, seed: 1, step: 1)
            for dropout in configuration.dropout > 0 ? [nil, key] : [nil] {
                _ = MicroBatches(1, for: model).run(
                    parameters: parameters, gradients: gradients, dropout: dropout)
            }
            if threads == 1 {
                #expect(engine.scratchBytes == planned)
            } else {
                // Threads take tiles in an order that varies.
                #expect(engine.scratchBytes <= planned && engine.scratchBytes * threads >= planned)
            }
        }
    }
}
