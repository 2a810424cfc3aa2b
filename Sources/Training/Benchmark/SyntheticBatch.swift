import Model
import Tensors

/// A micro-batch of random tokens, the same in every step.
struct SyntheticBatch {
    // Each row has its inputs and their targets, one token further.
    private let inputs: Buffer<Int32>  // (B, T)
    private let targets: Buffer<Int32>  // (B, T)

    /// Tokens that are a function of the rank alone.
    init(plan: TrainingPlan, rank: Int) {
        let vocabulary = plan.recipe.model.vocabularySize
        let length = plan.sequenceLength
        inputs = Buffer(count: plan.lanes.microBatch * length)
        targets = Buffer(count: plan.lanes.microBatch * length)
        let random = CounterRandom(seed: UInt64(1 + rank), stream: .sampleOrder)
        for row in 0..<plan.lanes.microBatch {
            var token = Self.token(random, row, 0, vocabulary)
            for t in 0..<length {
                inputs.base[row * length + t] = token
                token = Self.token(random, row, t + 1, vocabulary)
                targets.base[row * length + t] = token
            }
        }
    }

    /// Bytes of its memory.
    var bytes: Int { inputs.bytes.count + targets.bytes.count }

    func load(firstSequence: Int) -> TokenBatch {
        TokenBatch(inputs: inputs.base, targets: targets.base, firstSequence: firstSequence)
    }

    private static func token(
        _ random: CounterRandom, _ row: Int, _ place: Int, _ vocabulary: Int
    ) -> Int32 {
        let word = random.words(UInt32(row), UInt32(place), 0, 0).x
        return Int32(word % UInt32(vocabulary))
    }
}
