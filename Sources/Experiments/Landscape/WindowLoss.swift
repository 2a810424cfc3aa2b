import Compute
import Data
import Model
import Recipes
import Training

/// The loss of any parameters of a model over some fixed validation windows, on this rank alone.
///
/// The windows are spread evenly over the validation set, so that they are the same for all
/// parameters and on all ranks.
final class WindowLoss {
    private let model: GPT
    private let loader: SampleLoader
    private let windows: ValidationWindows
    /// The windows of each micro-batch.
    private let chunks: [ArraySlice<Int>]
    /// Targets that are predicted.
    let targets: Int
    let sequences: Int

    /// - Parameters:
    ///   - recipe: with the vocabulary of the data and a micro-batch.
    ///   - sequences: windows, at least one; all where there are no more.
    init(recipe: Recipe, data: TrainingData, sequences: Int, engine: ComputeEngine) {
        precondition(sequences >= 1, "a loss is over one sequence or more")
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

    /// Where the parameters lie.
    var layout: GPTLayout { model.layout }

    /// The mean cross-entropy in nats a token.
    func callAsFunction(_ parameters: Parameters) -> Double {
        var sum = 0.0
        for chunk in chunks {
            let batch = loader.load(chunk, of: windows)
            model.forward(batch, parameters: parameters, dropout: nil)
            sum += model.loss(batch, parameters: parameters)
        }
        return sum / Double(targets)
    }

    /// `count` numbers of `0..<total`, evenly spread and rising; all of them where there are no
    /// more.
    static func spread(_ count: Int, over total: Int) -> [Int] {
        let count = min(count, total)
        return (0..<count).map { $0 * total / count }
    }
}
