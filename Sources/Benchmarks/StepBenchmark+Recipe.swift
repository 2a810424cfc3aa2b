import Recipes
import Support

extension StepBenchmark {
    /// The sections of a recipe that a measured step follows, apart from its precision.
    private static let sections = ["[model]", "[optimizer]"]
    private static let keys = [
        "[training] recompute", "[reduction] bucket_mib", "[reduction] wire",
    ]

    /// Creates the benchmark of a recipe's step, in which each rank trains one micro-batch.
    ///
    /// - Parameters:
    ///   - name: the name of the recipe, in reports.
    ///   - ranks: the number of ranks for which an unset micro-batch is chosen.
    ///   - overrides: further overrides, each as `section.key=value`.
    /// - Throws: `Failure` (configuration) if the recipe's batch does not fit the ranks.
    package init(
        recipe: Recipe, name: String, ranks: Int, steps: Int, overrides: [String] = []
    ) throws(Failure) {
        let model = recipe.model
        // The measured ranks may exceed the lanes, since each of them trains a micro-batch.
        let lanes = try LaneConfiguration(
            globalBatch: recipe.training.globalBatch, lanes: recipe.reduction.lanes,
            microBatch: recipe.training.microBatch,
            ranks: recipe.reduction.lanes == 0 ? min(ranks, recipe.training.globalBatch) : 1)
        let size = BenchmarkSize(
            name: name, layers: model.layers, heads: model.heads, width: model.width,
            positions: model.contextLength, vocabulary: model.vocabularySize,
            sequencesPerRank: lanes.microBatch, sequenceLength: model.contextLength)
        let plain = size.recipe(ranks: ranks, steps: steps, precision: recipe.training.precision)
        let settings = plain.differences(from: recipe).filter { difference in
            Self.keys.contains(difference.key)
                || Self.sections.contains { difference.key.hasPrefix("\($0) ") }
        }.map { difference in
            difference.key.replacing("[", with: "").replacing("] ", with: ".") + "="
                + difference.otherValue
        }
        self.init(
            size: size, precision: recipe.training.precision, steps: steps,
            overrides: settings + overrides, sequenceLength: nil, tracePath: nil)
    }
}
