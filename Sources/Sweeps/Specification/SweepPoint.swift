import Recipes
import Support

/// One run of a sweep: what tells it from the others.
package struct SweepPoint: Sendable, Equatable {
    /// `TrainedPoint.grid`, or the name of the rule that makes the rate from the base batch's.
    package let rule: String
    /// The global batch, in sequences.
    package let batch: Int
    /// The schedule's peak at this batch; for a rule's point, the rate at the base batch.
    package let rate: Double
    package let seed: UInt64

    package init(rule: String = TrainedPoint.grid, batch: Int, rate: Double, seed: UInt64) {
        self.rule = rule
        self.batch = batch
        self.rate = rate
        self.seed = seed
    }

    /// Tells the point from all others of the sweep, and names its folder.
    package var name: String {
        let isPlain = rule.allSatisfy {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".")
        }
        // What cannot be part of a file's name, or is too long for one, is told apart by its
        // digest.
        let rule =
            isPlain && rule.count <= 40
            ? rule : "\(rule.prefix { $0.isLetter })-\(SHA256.hash(rule).prefix(12))"
        return "\(rule)-b\(batch)-lr\(rate)-s\(seed)"
    }
}

/// How a point ended.
package struct PointResult: Sendable, Equatable {
    package let point: SweepPoint
    /// The schedule's peak at the point's batch.
    package let learningRate: Double
    package let diverged: Bool
    /// Validation losses, that before the first step first.
    package let curve: [CurvePoint]

    package init(point: SweepPoint, learningRate: Double, diverged: Bool, curve: [CurvePoint]) {
        self.point = point
        self.learningRate = learningRate
        self.diverged = diverged
        self.curve = curve
    }

    /// As the analysis takes it.
    func trained(secondsPerStep: Double) -> TrainedPoint {
        TrainedPoint(
            rule: point.rule, batch: point.batch, learningRate: learningRate,
            seed: point.seed, diverged: diverged,
            initialLoss: curve.first?.validationLoss ?? 0, curve: Array(curve.dropFirst()),
            secondsPerStep: secondsPerStep)
    }
}

extension SweepSpecification {
    /// The recipe of the grid's first point, for what all share.
    ///
    /// - Throws: as `recipe(for:)` does.
    package var firstRecipe: Recipe {
        get throws(Failure) {
            try recipe(for: firstPoint(ofBatch: batches[0]))
        }
    }

    /// A point of a batch that stands for its others where rate and seed do not matter.
    package func firstPoint(ofBatch batch: Int) -> SweepPoint {
        SweepPoint(batch: batch, rate: rates(ofBatch: batch)[0], seed: seeds[0])
    }

    /// The recipe of a point's run.
    ///
    /// The recipe's own [scaling] has no part in it. The lanes are set if the recipe leaves them unset,
    /// because their default looks at the number of ranks, and a point must be the same on any.
    ///
    /// - Throws: a `.configuration` failure of the recipe, or where a number of tokens is no whole
    ///   number of the batch's steps.
    package func recipe(for point: SweepPoint) throws(Failure) -> Recipe {
        var recipe = try recipe(
            batch: point.batch, rate: point.rate, rule: rules.first { $0.name == point.rule })
        recipe.training.seed = point.seed
        let context = recipe.model.contextLength
        try checkTokens(batch: point.batch, contextLength: context)
        let marks = marks(ofBatch: point.batch, contextLength: context)
        recipe.training.steps = marks.last ?? 1
        recipe.evaluation.every = 0
        recipe.evaluation.at = marks
        recipe.evaluation.windows = 0
        // A point's parameters are discarded, so there is no best checkpoint to keep.
        recipe.checkpoint.best = false
        if recipe.reduction.lanes == 0 {
            recipe.reduction.lanes =
                (8...max(8, point.batch)).first { point.batch % $0 == 0 } ?? point.batch
        }
        guard
            hasOneComparison(batch: point.batch, contextLength: context)
                || recipe.schedule.name == .constant
        else {
            throw Failure(
                .configuration,
                "\(recipePath) has schedule.name = \"\(recipe.schedule.name.rawValue)\", whose rate "
                    + "has not decayed where a run is compared before its end: set schedule.name = "
                    + "\"constant\" with training.averaging_power = 7, or give one of tokens and "
                    + "steps alone, with one number.")
        }
        try recipe.validate()
        return recipe
    }

    /// Returns the recipe of a batch under a rule; the rate is that of the base batch. Without a rule,
    /// the rate is that of the batch.
    ///
    /// - Throws: a `.configuration` failure of the recipe.
    func recipe(batch: Int, rate: Double, rule: SweepRule?) throws(Failure) -> Recipe {
        var recipe = baseRecipe
        recipe.training.globalBatch = batch
        recipe.optimizer.learningRate = rate
        recipe.scaling = rule?.scaling ?? ScalingConfiguration()
        if rule == nil { recipe.scaling.rule = .none }
        recipe.scaling.baseBatch = rule == nil ? batch : baseBatch
        try recipe.validate()
        return recipe
    }

    /// Whether a batch's runs are compared at their end alone.
    private func hasOneComparison(batch: Int, contextLength: Int) -> Bool {
        Set(steps + tokens.map { $0 / (batch * contextLength) }).count == 1
    }

    private func checkTokens(batch: Int, contextLength: Int) throws(Failure) {
        let perStep = batch * contextLength
        for count in tokens where count % perStep != 0 || count < perStep {
            // Tokens that are whole steps of all batches.
            let common =
                Double(batches.reduce(1, leastCommonMultiple)) * Double(contextLength)
            let nearest = max(1, (Double(count) / common).rounded()) * common
            let remedy =
                common < 1e9 && nearest < 1e15
                ? "use \(Int(nearest)), or other batches" : "use other batches"
            throw Failure(
                .configuration,
                "tokens = \(count) is no whole number of steps of batch \(batch), which take "
                    + "\(perStep) tokens each: \(remedy).")
        }
    }
}

/// Or 2^52 where that is not enough.
private func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
    var (divisor, rest) = (a, b)
    while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
    let (product, overflow) = (a / divisor).multipliedReportingOverflow(by: b)
    return overflow ? 1 << 52 : min(product, 1 << 52)
}
