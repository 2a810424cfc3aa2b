import Glibc
import Recipes
import Support

/// The content of a sweep's TOML file: a grid of batches, rates and seeds for one recipe.
package struct SweepSpecification: Sendable, Equatable {
    /// The path of the specification's file, for messages.
    package let path: String
    /// The text of the recipe that all runs share.
    package let recipeText: String
    /// `recipe`: the path of that recipe, for titles.
    package let recipePath: String
    /// The path of the file that the recipe was read from, for messages.
    let recipeFile: String
    /// `[set]`: the keys that differ from the recipe's text.
    package let settings: [RecipeSetting]
    /// The recipe with `settings` and without its [scaling]. It is not checked, because every run
    /// sets more keys.
    var baseRecipe: Recipe
    /// `batches`: global batches, in sequences, in ascending order.
    package var batches: [Int]
    /// `learning_rates`: the grid's rates at the base batch, in ascending order.
    package var learningRates: [Double]
    /// `grid_exponent`: the power of batch / base_batch by which the grid moves with the batch, so
    /// that its middle stays near the optimum. The analysis ignores it.
    package var gridExponent: Double
    /// `widths`: the widths of the model, in ascending order; empty for the recipe's.
    package var widths: [Int] = []
    /// `layers`: the numbers of layers, in ascending order; empty for the recipe's.
    package var layers: [Int] = []
    /// `parametrizations`: those in which each size is trained.
    package var parametrizations: [Parametrization] = [.standard]
    /// `tokens_per_parameter`: instead of `tokens`, the numbers of tokens for each parameter outside
    /// the embeddings and the head, in ascending order.
    package var tokensPerParameter: [Double] = []
    /// `seeds`: the seeds of parameters and data order.
    package var seeds: [UInt64]
    /// `base_batch`: the batch whose best rate the rules scale; if unset, the smallest.
    package var baseBatch: Int
    /// `rules`: the rules to judge.
    package var rules: [SweepRule]
    /// `tokens`: the numbers of tokens after which all batches are compared, in ascending order.
    package var tokens: [Int]
    /// `steps`: the numbers of steps after which all batches are compared, in ascending order.
    package var steps: [Int]
    /// `evaluations`: the number of validation losses of a run; it has more if the comparisons need
    /// them.
    package var evaluations: Int
    /// `extend`: the number of rates that a batch's grid may gain on each side if its best rate
    /// lies on that edge, and below a rate that diverges.
    package var extend: Int
    /// `tolerance`: the regret up to which a rule holds, in nats.
    package var tolerance: Double
    /// `target_losses`: losses whose steps and tokens are compared; if unset, three that every
    /// batch reaches.
    package var targetLosses: [Double]

    /// Returns the rates of a batch's grid before it is extended, in ascending order.
    package func rates(ofBatch batch: Int) -> [Double] {
        let factor = pow(Double(batch) / Double(baseBatch), gridExponent)
        return learningRates.map { shortened($0 * factor) }
    }

    /// The ratio of neighboring rates of the grid, as a geometric mean.
    package var rateRatio: Double {
        guard let first = learningRates.first, let last = learningRates.last,
            learningRates.count > 1
        else { return 2 }
        return pow(last / first, 1 / Double(learningRates.count - 1))
    }

    /// Returns the number of steps of a batch's runs, enough for every comparison.
    package func runSteps(ofBatch batch: Int, contextLength: Int) -> Int {
        max(steps.last ?? 0, (tokens.last ?? 0) / (batch * contextLength))
    }

    /// Returns the steps after which a batch's runs are evaluated: step 0, the step of every
    /// comparison, and further steps at about equal ratios.
    package func marks(ofBatch batch: Int, contextLength: Int) -> [Int] {
        let last = runSteps(ofBatch: batch, contextLength: contextLength)
        var marks = Set(steps + tokens.map { $0 / (batch * contextLength) } + [0, last])
        // The run's length is divided by sqrt(2) until there are enough marks.
        var mark = Double(last)
        while marks.count < evaluations + 1, mark > 2 {
            mark /= 2.0.squareRoot()
            marks.insert(Int(mark.rounded()))
        }
        return marks.sorted()
    }
}

/// A rule that a sweep judges.
package struct SweepRule: Sendable, Equatable {
    /// The name in reports: "linear", "power 0.7", or the formula.
    let name: String
    /// The [scaling] of the rule's runs, apart from its base batch.
    let scaling: ScalingConfiguration
    /// Whether the rule changes more than the rate, so its effect shows only in runs of its own.
    let isTrained: Bool
}

/// Returns a rate rounded to six significant digits, which keeps the names of points short.
func shortened(_ rate: Double) -> Double {
    guard rate.isFinite, rate > 0 else { return rate }
    let unit = pow(10, floor(log10(rate)) - 5)
    // Parsing the decimal digits gives the same number as a rate that a user writes.
    return Double(Format.scientific((rate / unit).rounded() * unit, digits: 6)) ?? rate
}
