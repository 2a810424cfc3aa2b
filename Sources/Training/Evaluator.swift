import Collectives
import DataLoading
import Failures
import MPI
import Model
import Tensors

/// A validation loss and what it was measured on.
package struct Evaluation: Sendable, Equatable {
    /// The mean cross-entropy in nats a token.
    package let loss: Double
    /// Targets that were predicted.
    package let targets: Int
}

/// Measures the loss over a validation set, the same way on any layout.
///
/// The set's windows are cut into chunks of one micro-batch; rank r of P takes chunks r, r + P, ...,
/// and the chunks' sums are added in their order.
struct Evaluator {
    private let windows: ValidationWindows
    private let windowCount: Int
    private let microBatch: Int
    private let loader: SampleLoader
    private let communicator: Communicator

    init(
        data: TrainingData, microBatch: Int, windowLimit: Int, communicator: Communicator
    ) {
        windows = data.validationWindows
        windowCount = windowLimit == 0 ? windows.count : min(windowLimit, windows.count)
        self.microBatch = microBatch
        loader = SampleLoader(
            dataset: data.validation, contextLength: windows.contextLength, microBatch: microBatch)
        self.communicator = communicator
    }

    /// Targets that an evaluation predicts.
    var targetCount: Int { (0..<windowCount).reduce(0) { $0 + windows.window($1).length } }

    /// Chunks of one micro-batch that this rank evaluates.
    var chunksOfThisRank: Int {
        let chunks = (windowCount + microBatch - 1) / microBatch
        return (chunks - communicator.rank + communicator.size - 1) / communicator.size
    }

    /// Evaluates; all ranks must come here. `progress` is told how many of its chunks a rank has done.
    func run(
        _ model: GPT, parameters: Buffer<Float>, progress: (Int) -> Void = { _ in }
    ) throws(Failure) -> Evaluation {
        let chunks = (windowCount + microBatch - 1) / microBatch
        let size = communicator.size
        // Every rank sends as many numbers; those without a chunk are left out below.
        var own = [Double](repeating: 0, count: (chunks + size - 1) / size)
        for (place, chunk) in stride(from: communicator.rank, to: chunks, by: size).enumerated() {
            let range = chunk * microBatch..<min(windowCount, (chunk + 1) * microBatch)
            let batch = loader.load(range, of: windows)
            model.forward(batch, parameters: parameters, dropout: nil)
            own[place] = model.loss(batch, parameters: parameters)
            progress(place + 1)
        }
        let all = size == 1 ? own : try communicator.allGather(own)
        var sum = 0.0
        for chunk in 0..<chunks { sum += all[chunk % size * own.count + chunk / size] }
        return Evaluation(loss: sum / Double(targetCount), targets: targetCount)
    }
}
