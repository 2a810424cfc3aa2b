import Collectives
import Compute
import Model
import Recipes
import Support
import Training

/// A place in a model at which activations are compared.
package enum CoordinatePlace: String, Sendable, CaseIterable {
    case embedding = "embedding"
    case firstBlock = "first block"
    case lastBlock = "last block"
    case logits = "logits"
}

/// A short training run, and the distances that its activations have moved.
package struct CoordinateRun: Sendable, Equatable {
    package let parametrization: Parametrization
    package let size: ModelSize
    package let seed: UInt64
    /// The root mean square change of each place's activations since the start, after each step, on
    /// the same tokens. A change is not a number once the parameters are no longer finite.
    package let changes: [[CoordinatePlace: Double]]

    package init(
        parametrization: Parametrization, size: ModelSize, seed: UInt64,
        changes: [[CoordinatePlace: Double]]
    ) {
        self.parametrization = parametrization
        self.size = size
        self.seed = seed
        self.changes = changes
    }
}

/// The activations of a model on fixed tokens.
struct CoordinateProbe {
    private let model: GPT
    private let tokens: (inputs: [Int32], targets: [Int32])
    private let logits: Buffer<Float>
    private var logitRows: Int { min(model.tokenCount, Self.mostLogitRows) }

    /// The number of rows whose logits are compared; the logits of all rows could fill the memory.
    private static let mostLogitRows = 256

    /// Copies the tokens of a micro-batch of the model.
    init(_ model: GPT, batch: TokenBatch) {
        self.model = model
        let count = model.tokenCount
        tokens = (
            Array(UnsafeBufferPointer(start: batch.inputs, count: count)),
            Array(UnsafeBufferPointer(start: batch.targets, count: count))
        )
        logits = Buffer(
            count: min(count, Self.mostLogitRows) * model.configuration.paddedVocabularySize)
    }

    /// Returns the activations of each place.
    func activations(_ parameters: Parameters) -> [CoordinatePlace: [Float]] {
        tokens.inputs.withUnsafeBufferPointer { inputs in
            tokens.targets.withUnsafeBufferPointer { targets in
                guard let first = inputs.baseAddress, let second = targets.baseAddress else {
                    preconditionFailure("a micro-batch has tokens")
                }
                let batch = TokenBatch(inputs: first, targets: second)
                model.forward(batch, parameters: parameters, dropout: nil)
            }
        }
        let columns = model.configuration.paddedVocabularySize
        let table = Matrix(logits.base, rows: logitRows, columns: columns)
        model.logits(parameters: parameters, into: table)
        let residuals = model.residuals
        let vocabulary = model.configuration.vocabularySize
        return [
            .embedding: values(residuals[0]), .firstBlock: values(residuals[1]),
            .lastBlock: values(residuals[residuals.count - 1]),
            .logits: values(
                Matrix(table.base, rows: logitRows, columns: vocabulary, stride: columns)),
        ]
    }

    private func values(_ matrix: Matrix) -> [Float] {
        (0..<matrix.rows).flatMap { row in
            UnsafeBufferPointer(start: matrix.row(row), count: matrix.columns)
        }
    }
}

extension CoordinateRun {
    /// Trains a model for a few steps at the peak rate and measures its activations after each step.
    /// Returns nil if a signal stopped the run. Collective: every rank must call this.
    ///
    /// - Parameter ended: called after each step.
    static func train(
        _ input: TrainingInput, steps: Int, in job: Job, engine: ComputeEngine, ended: () -> Void
    ) throws(Failure) -> CoordinateRun? {
        let plan = input.plan
        let runner = try StepRunner(plan: plan, communicator: job.communicator, engine: engine)
        try runner.initialize()
        let batches = input.makeBatches()
        // Every rank computes the same activations.
        let probe = CoordinateProbe(runner.model, batch: batches(0, 0))
        let start = probe.activations(runner.state.parameters)
        var changes: [[CoordinatePlace: Double]] = []
        for _ in 0..<steps {
            let asked: RankRequests = StopSignals.stopRequested ? .stop : []
            let (_, requests) = try runner.take(
                learningRate: plan.rate.peakLearningRate, requests: { asked }, batches: batches)
            let now = probe.activations(runner.state.parameters)
            changes.append(
                now.reduce(into: [:]) { changes, entry in
                    changes[entry.key] = change(start[entry.key] ?? [], entry.value)
                })
            ended()
            if requests.contains(.stop) { return nil }
        }
        try runner.free()
        let model = plan.recipe.model
        return CoordinateRun(
            parametrization: model.parametrization, size: model.size,
            seed: plan.recipe.training.seed, changes: changes)
    }

    /// Returns the root mean square difference of two arrays.
    private static func change(_ before: [Float], _ after: [Float]) -> Double {
        let squares = zip(before, after).reduce(0.0) {
            let difference = Double($1.0) - Double($1.1)
            return $0 + difference * difference
        }
        return (squares / Double(max(1, after.count))).squareRoot()
    }
}
