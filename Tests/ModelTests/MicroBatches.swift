import Compute
import Model

/// Consecutive random micro-batches for one model.
struct MicroBatches {
    private let inputs: Buffer<Int32>
    private let targets: Buffer<Int32>
    private let model: GPT
    private let count: Int

    init(_ count: Int, for model: GPT, seed: UInt64 = 21) {
        let vocabulary = model.configuration.vocabularySize
        inputs = tokens(count * model.tokenCount, below: vocabulary, seed: seed)
        targets = tokens(count * model.tokenCount, below: vocabulary, seed: seed + 1)
        self.model = model
        self.count = count
    }

    /// Returns the losses and sums the gradients of all micro-batches. The first one's replace the
    /// content of `gradients`, or are added to it if `accumulates` is true.
    func run(
        parameters: Buffer<Float>, gradients: Buffer<Float>, accumulates: Bool = false,
        dropout: DropoutKey? = nil, recomputed: (Int) -> Void = { _ in },
        finished: (Range<Int>) -> Void = { _ in }
    ) -> [Double] {
        let parameters = Parameters(parameters, precision: model.precision)
        return (0..<count).map { index in
            let batch = TokenBatch(
                inputs: inputs.base + index * model.tokenCount,
                targets: targets.base + index * model.tokenCount,
                firstSequence: 5 + index * model.microBatch)
            model.forward(batch, parameters: parameters, dropout: dropout)
            return model.backward(
                batch, parameters: parameters, gradients: gradients, gradientScale: 0.25,
                accumulates: accumulates || index > 0, dropout: dropout,
                recomputed: recomputed, finished: finished)
        }
    }
}
