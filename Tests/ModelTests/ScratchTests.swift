import Compute
import Model
import Testing

/// The engine's scratch memory, as a plan knows it before a step and as a step leaves it.
@Suite struct ScratchTests {
    /// Shapes whose widest products, depths and attention differ.
    private static let shapes = [
        configuration(),
        configuration(width: 32, heads: 2, context: 130, vocabulary: 300),
        configuration(layers: 1, width: 200, heads: 2, context: 9, vocabulary: 3500, bias: false),
        configuration(layers: 1, width: 24, heads: 3, context: 900),
    ]

    @Test(arguments: 0..<4, Precision.allCases)
    func whatIsPlannedIsWhatAStepTakes(shape: Int, precision: Precision) {
        let configuration = Self.shapes[shape]
        for (recomputes, threads) in [(false, 1), (true, 1), (false, 3)] {
            let engine = ComputeEngine(threads: threads)
            let model = GPT(
                configuration, microBatch: 2, training: true, precision: precision,
                recomputes: recomputes, engine: engine)
            let parameters = ModelTests.parameters(model.layout)
            let planned = model.scratchBytes(
                parameters: Parameters(parameters, precision: precision))
            #expect(engine.scratchBytes == 0, "asking takes nothing")
            _ = MicroBatches(1, for: model).run(
                parameters: parameters, gradients: Buffer(count: parameters.count))
            if threads == 1 {
                #expect(engine.scratchBytes == planned)
            } else {
                // Which thread runs which tile is left to chance.
                #expect(engine.scratchBytes <= planned && engine.scratchBytes * threads >= planned)
            }
        }
    }
}
