import Compute
import Data
import Model
import Recipes
import Training

/// A function that computes the loss of a model's parameters over fixed validation windows, on this
/// rank only.
///
/// The windows are spread evenly over the validation set, so they are the same for all parameters
/// and on all ranks.
final class WindowLoss {
    private let model: GPT
    private let loader: SampleLoader
    private let windows: ValidationWindows
    /// The windows of each micro-batch.
    private let chunks: [ArraySlice<Int>]
    /// The number of predicted targets.
    let targets: Int
    let sequences: Int

    /// - Parameters:
    ///   - recipe: a recipe with the vocabulary of the data and a micro-batch.
    ///   - sequences: the number of windows, at least one; if the set has fewer, all are used.
    init(recipe: Recipe, data: TrainingData, sequences: Int, engine: ComputeEngine) {
        precondition(sequences >= 1, "a loss needs at least one sequence")
        windows = data.validationWindows
        let microBatch = recipe.training.microBatch
        let chosen = Self.spread(sequences, over: windows.count)
        self.sequences = chosen.count
        targets = chosen.reduce(0) { [windows] in $0 + windows.window($1).length }
        chunks = stride(from: 0, to: chosen.count, by: microBatch).map {
            chosen[$0..<min(chosen.count, $0 + microBatch)]
        }
        loader = SampleLoader(
            dataset: data.validation, contextLength: recipe.model.contextLength,
            microBatch: microBatch)
        model = GPT(
            recipe.model, microBatch: microBatch, training: false,
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

    /// Returns `count` numbers from `0..<total`, evenly spread and rising, or all of them if
    /// `total` is smaller.
    static func spread(_ count: Int, over total: Int) -> [Int] {
        let count = min(count, total)
        return (0..<count).map { $0 * total / count }
    }
}
