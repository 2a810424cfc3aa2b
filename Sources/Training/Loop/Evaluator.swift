import Data
import MPI
import Model
import Support

/// A validation loss and the number of targets it was measured on.
package struct Evaluation: Sendable, Equatable {
    /// The mean cross-entropy in nats per token.
    package let loss: Double
    /// The number of targets that were predicted.
    package let targets: Int
}

/// The division of a validation set's windows among ranks, whose number does not affect the sum.
///
/// The windows are cut into chunks of one micro-batch; rank r of P takes chunks r, r + P, ...
package struct EvaluationShares: Sendable, Equatable {
    package let windowCount: Int
    package let microBatch: Int
    package let size: Int

    package init(windowCount: Int, microBatch: Int, size: Int) {
        self.windowCount = windowCount
        self.microBatch = microBatch
        self.size = size
    }

    /// The number of chunks of one micro-batch; the last chunk may be short.
    package var chunkCount: Int { (windowCount + microBatch - 1) / microBatch }

    /// The number of values that every rank sends, the same on all ranks.
    package var slots: Int { (chunkCount + size - 1) / size }

    /// Returns the windows of each of a rank's chunks, in order.
    package func chunks(ofRank rank: Int) -> [Range<Int>] {
        stride(from: rank, to: chunkCount, by: size).map { chunk in
            chunk * microBatch..<min(windowCount, (chunk + 1) * microBatch)
        }
    }

    /// Returns the total of the chunks' sums, added in the order of the chunks.
    ///
    /// - Parameter gathered: `slots` values from each rank, in the order of the ranks.
    package func total(_ gathered: [Double]) -> Double {
        precondition(gathered.count == slots * size, "every rank sends \(slots) numbers")
        var sum = 0.0
        for chunk in 0..<chunkCount { sum += gathered[chunk % size * slots + chunk / size] }
        return sum
    }
}

/// A measurement of the loss over a validation set, which gives the same result on any layout.
package struct Evaluator {
    private let windows: ValidationWindows
    private let shares: EvaluationShares
    private let loader: SampleLoader
    private let communicator: Communicator

    package init(
        data: TrainingData, microBatch: Int, windowLimit: Int, communicator: Communicator
    ) {
        windows = data.validationWindows
        shares = EvaluationShares(
            windowCount: windowLimit == 0 ? windows.count : min(windowLimit, windows.count),
            microBatch: microBatch, size: communicator.size)
        loader = SampleLoader(
            dataset: data.validation, contextLength: windows.contextLength, microBatch: microBatch)
        self.communicator = communicator
    }

    /// The number of targets that an evaluation predicts.
    var targetCount: Int {
        (0..<shares.windowCount).reduce(0) { $0 + windows.window($1).length }
    }

    /// The size of the evaluator's memory in bytes.
    var bytes: Int { loader.bytes }

    /// Returns the loss over the windows. Collective.
    ///
    /// - Parameter job: the job that shows a progress line; nil for none.
    package func run(
        _ model: GPT, parameters: Parameters, showingProgressOf job: Job? = nil
    ) throws(Failure) -> Evaluation {
        let chunks = shares.chunks(ofRank: communicator.rank)
        let line = job?.progressLine(
            "evaluating", total: chunks.count, unit: .things("micro-batches", showsRate: false))
        defer { line?.finish() }
        // The total leaves out slots without a chunk.
        var own = [Double](repeating: 0, count: shares.slots)
        for (place, chunk) in chunks.enumerated() {
            let batch = loader.load(chunk, of: windows)
            model.forward(batch, parameters: parameters, dropout: nil)
            own[place] = model.loss(batch, parameters: parameters)
            line?.update(done: place + 1)
        }
        let all = communicator.size == 1 ? own : try communicator.allGather(own)
        return Evaluation(loss: shares.total(all) / Double(targetCount), targets: targetCount)
    }
}
