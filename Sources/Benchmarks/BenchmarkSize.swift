import Compute
import Recipes
import Support

/// A named model together with the work of one rank in a step.
package struct BenchmarkSize: Sendable, Equatable {
    package let name: String
    package let layers: Int
    package let heads: Int
    package let width: Int
    /// The number of rows of the position table; sequences may be shorter.
    package let positions: Int
    package let vocabulary: Int
    /// The number of sequences on which a rank trains in a step.
    package let sequencesPerRank: Int
    package let sequenceLength: Int
    package var architecture = "gpt2"

    /// All sizes: GPT-2 of 124 million parameters with short and with full sequences, a LLaMA of the
    /// same shape with a tied head, nanoGPT's "baby GPT" for character-level Shakespeare, and its
    /// version for CPUs.
    package static let all = [
        BenchmarkSize(
            name: "gpt2-124m", layers: 12, heads: 12, width: 768, positions: 1024,
            vocabulary: 50304, sequencesPerRank: 4, sequenceLength: 256),
        BenchmarkSize(
            name: "gpt2-124m-t1024", layers: 12, heads: 12, width: 768, positions: 1024,
            vocabulary: 50304, sequencesPerRank: 1, sequenceLength: 1024),
        BenchmarkSize(
            name: "llama-124m", layers: 12, heads: 12, width: 768, positions: 1024,
            vocabulary: 50304, sequencesPerRank: 4, sequenceLength: 256, architecture: "llama"),
        BenchmarkSize(
            name: "baby", layers: 6, heads: 6, width: 384, positions: 256, vocabulary: 65,
            sequencesPerRank: 16, sequenceLength: 256),
        BenchmarkSize(
            name: "char", layers: 4, heads: 4, width: 128, positions: 64, vocabulary: 65,
            sequencesPerRank: 12, sequenceLength: 64),
    ]

    /// Returns the size with a name.
    ///
    /// - Throws: `Failure` (usage) if there is none; it suggests the nearest name, or lists all.
    package static func named(_ name: String) throws(Failure) -> BenchmarkSize {
        if let size = all.first(where: { $0.name == name }) { return size }
        let names = all.map(\.name)
        throw .option(
            "--size", name, "must be one of \(Format.list(names))",
            remedy: spellingRemedy(for: name, among: names, otherwise: "give one of them"))
    }

    /// Returns the recipe that trains this size on `ranks` ranks, each with one lane in one
    /// micro-batch, with the default optimizer, which is that of the peers in Tests/Peers.
    func recipe(ranks: Int, steps: Int, precision: Precision) -> Recipe {
        var recipe = Recipe()
        recipe.model.architecture = architecture
        recipe.model.tiesHead = true
        recipe.model.layers = layers
        recipe.model.heads = heads
        recipe.model.width = width
        recipe.model.contextLength = positions
        recipe.model.vocabularySize = vocabulary
        recipe.training.steps = steps
        recipe.training.globalBatch = sequencesPerRank * ranks
        recipe.training.precision = precision
        recipe.schedule.name = .constant
        recipe.schedule.warmupSteps = 0
        // The batch grows with the ranks, and with scaling the rate would grow with the batch.
        // Without scaling, one batch trains in the same way on any number of ranks.
        recipe.scaling.rule = .none
        recipe.scaling.baseBatch = recipe.training.globalBatch
        recipe.reduction.lanes = ranks
        return recipe
    }
}
