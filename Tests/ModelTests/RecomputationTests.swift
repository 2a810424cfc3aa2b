import Compute
import Model
import Recipes
import Testing

/// Tests of a backward pass that recomputes each block's forward pass.
@Suite struct RecomputationTests {
    /// The results of three micro-batches and the progress that the backward pass reported.
    private struct Result: Equatable {
        var losses: [Double] = []
        var gradients: [UInt32] = []
        var finished: [Range<Int>] = []
        /// The recomputed blocks, each with the number of ranges that were finished before.
        var recomputed: [[Int]] = []
    }

    private func run(
        _ shape: GPTConfiguration, _ precision: Precision, recomputes: Bool, threads: Int = 1
    ) -> Result {
        let model = GPT(
            shape, microBatch: 2, training: true, precision: precision, recomputes: recomputes,
            engine: ComputeEngine(threads: threads))
        let key = shape.dropout > 0 ? DropoutKey(probability: 0.2, seed: 1, step: 3) : nil
        let parameters = parameters(model.layout)
        let gradients = Buffer<Float>(count: parameters.count)
        gradients.elements.update(repeating: .nan)  // The old content must not matter.
        let batches = MicroBatches(3, for: model)
        var result = Result()
        result.losses = batches.run(
            parameters: parameters, gradients: gradients, dropout: key,
            recomputed: { result.recomputed.append([$0, result.finished.count]) },
            finished: { result.finished.append($0) })
        result.gradients = model.layout.arena.tensors.flatMap { tensor in
            gradients.elements[tensor.range].map(\.bitPattern)
        }
        return result
    }

    @Test(
        "recomputation gives the same bits",
        arguments: [
            (true, 0.0, Precision.fp32), (true, 0.2, Precision.fp32), (false, 0.0, Precision.fp32),
            (false, 0.2, Precision.fp32),
            (true, 0.0, Precision.bf16), (true, 0.2, Precision.bf16),
        ], [1, 2, 4])
    func theSameBits(model: (bias: Bool, dropout: Double, precision: Precision), layers: Int) {
        let shape = configuration(
            layers: layers, context: 70, bias: model.bias, dropout: model.dropout)
        let kept = run(shape, model.precision, recomputes: false)
        #expect(kept.recomputed.isEmpty)
        #expect(kept.losses.count == 3 && kept.gradients.count == shape.parameterCount)
        #expect(kept.gradients.allSatisfy { Float(bitPattern: $0).isFinite })
        for threads in [1, 2] {
            var again = run(shape, model.precision, recomputes: true, threads: threads)
            // In each micro-batch, all blocks but the last are recomputed; the last one's
            // activations are still in memory. A block is recomputed before the first of its six
            // ranges is finished and after the final norm's range.
            let order = (0..<3).flatMap { batch in
                (0..<layers).reversed().dropFirst().map { layer in
                    [layer, batch * (6 * layers + 2) + 1 + 6 * (layers - 1 - layer)]
                }
            }
            #expect(again.recomputed == order)
            again.recomputed = []
            #expect(again == kept)
        }
    }

    /// A block keeps only its input, (N, C), and not another 15 C + H + 4 numbers for each of N
    /// rows.
    @Test("recomputation saves the computed amount of memory", arguments: [1, 2, 5])
    func memoryShrinksAsComputed(layers: Int) {
        let shape = configuration(layers: layers, width: 48, heads: 4, context: 16)
        let bytes = [false, true].map { recomputes in
            GPT(
                shape, microBatch: 2, training: true, recomputes: recomputes,
                engine: ComputeEngine()
            ).activationBytes
        }
        #expect(bytes[0] - bytes[1] == 4 * (layers - 1) * 32 * (15 * 48 + 4 + 4))
    }

    @Test("the least memory of a plan is less than the model uses", arguments: [false, true])
    func leastMemoryIsBelowTheUsedMemory(recomputes: Bool) {
        let shape = configuration(layers: 6, width: 48, heads: 4, context: 16, vocabulary: 64)
        let model = GPT(
            shape, microBatch: 2, training: true, recomputes: recomputes, engine: ComputeEngine())
        let least = shape.leastTrainingBytes(
            arenas: 3, tokens: model.tokenCount, recomputes: recomputes)
        let taken = Double(4 * 4 * model.layout.arena.count + model.activationBytes)
        #expect(least <= taken && least > 0.7 * taken)
    }
}
