import Recipes
import Support

/// What `lockstep regimes` was asked to do.
package struct RegimesRequest: Sendable {
    /// The recipe's file; nil for the built-in small model.
    package var recipePath: String?
    package var dataPath: String
    package var outPath: String
    /// `small,good,large`; nil for the recipe's rate, and as much less and more as shows it.
    package var rates: String?
    /// Points along each axis of the landscapes.
    package var grid: Int
    /// Validation windows of each loss.
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

    /// By what the default rates are smaller and larger than the recipe's.
    static let factor = 30.0

    /// Returns the recipe's text: the file's, or that of a small model that trains in seconds.
    ///
    /// - Throws: as `readText`.
    func readRecipeText() throws(Failure) -> String {
        guard let recipePath else { return Self.smallModel }
        return try readText(recipePath)
    }

    /// The rates of the three runs, rising.
    ///
    /// - Throws: a `.usage` failure where `--rates` is not three rising rates.
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
                "--rates is \"\(rates)\", but must be three rising rates above 0; try "
                    + "--rates 1e-4,3e-3,1e-1.")
        }
        return numbers
    }

    /// Characters of a book are learned by it in a minute; a constant rate, so that what is seen is
    /// the rate's doing and not the schedule's.
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
    /// The recipe at another rate; the lowest rates of its schedule keep their proportion to it.
    func at(learningRate: Double) -> Recipe {
        var recipe = self
        let factor = learningRate / optimizer.learningRate
        recipe.optimizer.learningRate = learningRate
        recipe.schedule.minimumLearningRate = schedule.minimumLearningRate.map { $0 * factor }
        return recipe
    }
}
