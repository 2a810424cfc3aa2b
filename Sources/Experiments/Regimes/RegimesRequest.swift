import Recipes
import Support

/// The options of `lockstep regimes`.
package struct RegimesRequest: Sendable {
    /// The path of the recipe; nil for the built-in small model.
    package var recipePath: String?
    package var dataPath: String
    package var outPath: String
    /// The rates as `small,good,large`; nil for the recipe's rate, and that rate divided and
    /// multiplied by `factor`.
    package var rates: String?
    /// The number of points along each axis of the landscapes.
    package var grid: Int
    /// The number of validation windows of each loss.
    package var sequences: Int

    package init(
        recipePath: String?, dataPath: String, outPath: String, rates: String?, grid: Int,
        sequences: Int
    ) {
        self.recipePath = recipePath
        self.dataPath = dataPath
        self.outPath = outPath
        self.rates = rates
        self.grid = grid
        self.sequences = sequences
    }

    /// The ratio between the default rates and the recipe's rate.
    static let factor = 30.0

    /// Returns the text of the recipe, or that of a small model that trains in seconds.
    ///
    /// - Throws: the failures of `readText`.
    func readRecipeText() throws(Failure) -> String {
        guard let recipePath else { return Self.smallModel }
        return try readText(recipePath)
    }

    /// Returns the rates of the three runs, rising.
    ///
    /// - Throws: `Failure` (usage) if `--rates` is not three rising rates.
    func learningRates(of recipe: Recipe) throws(Failure) -> [Double] {
        guard let rates else {
            let rate = recipe.optimizer.learningRate
            return [rate / Self.factor, rate, rate * Self.factor]
        }
        let numbers = rates.split(separator: ",", omittingEmptySubsequences: false).map {
            Double($0.trimmingPrefix(while: \.isWhitespace)) ?? .nan
        }
        guard numbers.count == 3, numbers.allSatisfy({ $0.isFinite && $0 > 0 }),
            numbers[0] < numbers[1], numbers[1] < numbers[2]
        else {
            throw Failure(
                .usage,
                "--rates \(rates): must be three rising rates above 0; try 1e-4,3e-3,1e-1.")
        }
        return numbers
    }

    /// The recipe of a model that learns the characters of a book within a minute. Its rate is
    /// constant, so the effects are those of the rate and not of the schedule.
    static let smallModel = """
        [model]
        layers = 2
        heads = 2
        width = 64
        context_length = 64
        [training]
        steps = 600
        global_batch = 16
        seed = 1337
        [optimizer]
        name = "adamw"
        learning_rate = 3e-3
        betas = [0.9, 0.99]
        weight_decay = 0.1
        clip_norm = 1.0
        [schedule]
        name = "constant"
        warmup_steps = 0
        [scaling]
        rule = "linear"
        base_batch = 16
        [reduction]
        lanes = 8
        """
}

extension Recipe {
    /// Returns the recipe with another rate; the lowest rate of its schedule keeps its proportion.
    func at(learningRate: Double) -> Recipe {
        var recipe = self
        let factor = learningRate / optimizer.learningRate
        recipe.optimizer.learningRate = learningRate
        recipe.schedule.minimumLearningRate = schedule.minimumLearningRate.map { $0 * factor }
        return recipe
    }
}
