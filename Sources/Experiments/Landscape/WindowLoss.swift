import Compute
import Data
import Model
import Recipes
import Support
import Training

/// A function that computes the loss of a model's parameters over fixed windows, on this rank only.
///
/// The windows are spread evenly over the data, so they are the same for all parameters and on all
/// ranks.
final class WindowLoss {
    private let model: GPT
    private let loader: SampleLoader
    private let windows: ValidationWindows
    /// The windows of each micro-batch.
    private let chunks: [ArraySlice<Int>]
    /// The number of predicted targets.
    let targets: Int
    let sequences: Int

    /// Creates the loss over validation windows.
    ///
    /// - Parameters:
    ///   - recipe: a recipe with the vocabulary of the data and a micro-batch.
    ///   - sequences: the number of windows, at least one; if the set has fewer, all are used.
    convenience init(recipe: Recipe, data: TrainingData, sequences: Int, engine: ComputeEngine) {
        self.init(
            recipe: recipe, data.validation, data.validationWindows, sequences: sequences,
            training: false, engine: engine)
    }

    /// Creates the loss over training windows, which has a gradient. It is computed in fp32 in any
    /// recipe, because differences of gradients need all digits.
    convenience init(
        gradientsOf recipe: Recipe, data: TrainingData, sequences: Int, engine: ComputeEngine
    ) throws(Failure) {
        var recipe = recipe
        recipe.training.precision = .fp32
        let windows = try ValidationWindows(
            tokenCount: data.training.tokenCount, contextLength: recipe.model.contextLength)
        self.init(
            recipe: recipe, data.training, windows, sequences: sequences, training: true,
            engine: engine)
    }

    private init(
        recipe: Recipe, _ dataset: TokenDataset, _ windows: ValidationWindows, sequences: Int,
        training: Bool, engine: ComputeEngine
    ) {
        precondition(sequences >= 1, "a loss needs at least one sequence")
        self.windows = windows
        let microBatch = recipe.training.microBatch
        let chosen = Self.spread(sequences, over: windows.count)
        self.sequences = chosen.count
        targets = chosen.reduce(0) { $0 + windows.window($1).length }
        chunks = stride(from: 0, to: chosen.count, by: microBatch).map {
            chosen[$0..<min(chosen.count, $0 + microBatch)]
        }
        loader = SampleLoader(
            dataset: dataset, contextLength: recipe.model.contextLength, microBatch: microBatch)
        model = GPT(
            recipe.model, microBatch: microBatch, training: training,
            precision: recipe.training.precision, engine: engine)
    }

    /// The layout of the parameters.
    var layout: GPTLayout { model.layout }

    /// Returns the mean cross-entropy in nats per token.
    func callAsFunction(_ parameters: Parameters) -> Double {
        var sum = 0.0
        for chunk in chunks {
            let batch = loader.load(chunk, of: windows)
            model.forward(batch, parameters: parameters, dropout: nil)
            sum += model.loss(batch, parameters: parameters)
        }
        return sum / Double(targets)
    }

    /// Writes the gradient of the loss, without dropout.
    func gradient(_ parameters: Parameters, into gradients: Buffer<Float>) {
        for (index, chunk) in chunks.enumerated() {
            let batch = loader.load(chunk, of: windows)
            model.forward(batch, parameters: parameters, dropout: nil)
            _ = model.backward(
                batch, parameters: parameters, gradients: gradients,
                gradientScale: 1 / Float(targets), accumulates: index > 0, dropout: nil
            ) { _ in }
        }
    }

    /// Returns `count` evenly spread numbers from `0..<total` in ascending order, or all of them if
    /// `total` is smaller.
    static func spread(_ count: Int, over total: Int) -> [Int] {
        let count = min(count, total)
        return (0..<count).map { $0 * total / count }
    }
}
