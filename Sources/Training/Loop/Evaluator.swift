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

/// The division of numbered pieces of work among ranks: rank r of P takes the pieces r, r + P, ...
package struct WorkShares: Sendable, Equatable {
    package let count: Int
    package let size: Int

    /// Creates the shares of `count` pieces among `size` ranks.
    package init(count: Int, size: Int) {
        precondition(count >= 0 && size >= 1, "there must be at least one rank")
        self.count = count
        self.size = size
    }

    /// Returns the numbers of the pieces of a rank, in ascending order.
    package func pieces(ofRank rank: Int) -> [Int] {
        Array(stride(from: rank, to: count, by: size))
    }

    /// The number of values that every rank sends, the same on all ranks.
    package var slots: Int { (count + size - 1) / size }

    /// Returns the results of the pieces in order.
    ///
    /// - Parameter gathered: `slots` values from each rank, in the order of the ranks.
    package func assemble(_ gathered: [Double]) -> [Double] {
        precondition(gathered.count == slots * size, "every rank sends \(slots) numbers")
        return (0..<count).map { gathered[$0 % size * slots + $0 / size] }
    }
}

/// A measurement of the loss over a validation set, which gives the same result on any layout.
///
/// The windows are cut into chunks of one micro-batch, which the ranks share. Their sums are added
/// in the order of the chunks.
package struct Evaluator {
    private let windows: ValidationWindows
    private let windowCount: Int
    private let microBatch: Int
    private let shares: WorkShares
    private let loader: SampleLoader
    private let communicator: Communicator

    /// Creates an evaluator.
    ///
    /// - Parameter windowLimit: the number of windows to measure, or 0 for all of them.
    package init(
        data: TrainingData, microBatch: Int, windowLimit: Int, communicator: Communicator
    ) {
        windows = data.validationWindows
        windowCount = windowLimit == 0 ? windows.count : min(windowLimit, windows.count)
        self.microBatch = microBatch
        shares = WorkShares(
            count: (windowCount + microBatch - 1) / microBatch, size: communicator.size)
        loader = SampleLoader(
            dataset: data.validation, contextLength: windows.contextLength, microBatch: microBatch)
        self.communicator = communicator
    }

    /// The number of targets that an evaluation predicts.
    var targetCount: Int {
        (0..<windowCount).reduce(0) { $0 + windows.window($1).length }
    }

    /// The size of the evaluator's memory in bytes.
    var bytes: Int { loader.bytes }

    /// Returns the loss over the windows. Collective: every rank must call this.
    ///
    /// - Parameter job: the job that shows a progress line; nil for none.
    package func run(
        _ model: GPT, parameters: Parameters, showingProgressOf job: Job? = nil
    ) throws(Failure) -> Evaluation {
        let pieces = shares.pieces(ofRank: communicator.rank)
        let line = job?.progressLine(
            "evaluating", total: pieces.count, unit: .things("micro-batches", showsRate: false))
        defer { line?.finish() }
        // A slot without a chunk is left out of the total.
        var own = [Double](repeating: 0, count: shares.slots)
        for (place, chunk) in pieces.enumerated() {
            let first = chunk * microBatch
            let batch = loader.load(first..<min(windowCount, first + microBatch), of: windows)
            model.forward(batch, parameters: parameters, dropout: nil)
            own[place] = model.loss(batch, parameters: parameters)
            line?.update(done: place + 1)
        }
        let all = communicator.size == 1 ? own : try communicator.allGather(own)
        let total = shares.assemble(all).reduce(0, +)
        return Evaluation(loss: total / Double(targetCount), targets: targetCount)
    }
}
