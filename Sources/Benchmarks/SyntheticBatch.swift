import Compute
import Model
import Recipes

/// A micro-batch of random tokens.
///
/// The tokens depend only on their sequence's number in the global batch, so they are the same in
/// every step and on any layout.
struct SyntheticBatch {
    private let sequences: Int  // B
    private let length: Int  // T
    private let vocabulary: UInt32
    // The targets of a row are its inputs, shifted by one token.
    private let inputs: Buffer<Int32>  // (B, T)
    private let targets: Buffer<Int32>  // (B, T)

    init(plan: TrainingPlan) {
        sequences = plan.lanes.microBatch
        length = plan.sequenceLength
        vocabulary = UInt32(plan.recipe.model.vocabularySize)
        inputs = Buffer(count: sequences * length)
        targets = Buffer(count: sequences * length)
    }

    /// The memory of the batch in bytes.
    var bytes: Int { inputs.bytes.count + targets.bytes.count }

    /// Returns the micro-batch that begins with a sequence of the global batch. It is valid until
    /// the next call.
    func load(firstSequence: Int) -> TokenBatch {
        let random = CounterRandom(seed: 1, stream: .sampleOrder)
        for row in 0..<sequences {
            let sequence = UInt32(firstSequence + row)
            var token = token(random, sequence, 0)
            for t in 0..<length {
                inputs.base[row * length + t] = token
                token = self.token(random, sequence, t + 1)
                targets.base[row * length + t] = token
            }
        }
        return TokenBatch(
            inputs: inputs.base, targets: targets.base, firstSequence: firstSequence)
    }

    private func token(_ random: CounterRandom, _ sequence: UInt32, _ place: Int) -> Int32 {
        Int32(random.words(at: SIMD4(sequence, UInt32(place), 0, 0)).x % vocabulary)
    }
}
