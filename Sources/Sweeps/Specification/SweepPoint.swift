import Recipes
import Support
import Verdicts

/// The values that distinguish one run of a sweep from the others.
package struct SweepPoint: Sendable, Equatable {
    /// `TrainedPoint.grid`, or the name of the rule that scales the rate of the base batch.
    package let rule: String
    /// The global batch, in sequences.
    package let batch: Int
    /// The peak rate of the schedule at this batch; for a rule's point, the rate at the base batch.
    package let rate: Double
    package let seed: UInt64
    /// The model; nil if the sweep has only the recipe's.
    package let variant: SweepVariant?

    package init(
        rule: String = TrainedPoint.grid, batch: Int, rate: Double, seed: UInt64,
        variant: SweepVariant? = nil
    ) {
        self.variant = variant
        self.rule = rule
        self.batch = batch
        self.rate = rate
        self.seed = seed
    }

    /// The name of the point and of its folder, unique within the sweep.
    package var name: String {
        let isPlain = rule.allSatisfy {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == ".")
        }
        // A rule is identified by its digest if its name is too long for a file or contains other
        // characters.
        let rule =
            isPlain && rule.count <= 40
            ? rule : "\(rule.prefix { $0.isLetter })-\(SHA256.hash(rule).prefix(12))"
        let model = variant.map { "-\($0.name)" } ?? ""
        return "\(rule)\(model)-b\(batch)-lr\(rate)-s\(seed)"
    }
}

/// The result of a point.
package struct PointResult: Sendable, Equatable {
    package let point: SweepPoint
    /// The peak rate of the schedule at the point's batch.
    package let learningRate: Double
    package let diverged: Bool
    /// The validation losses by step, beginning with the loss before the first step.
    package let curve: [CurvePoint]
    /// The gradient noise scale at the end of training, in sequences, or nil if it is unknown.
    package let noiseScale: Double?

    package init(
        point: SweepPoint, learningRate: Double, diverged: Bool, curve: [CurvePoint],
        noiseScale: Double? = nil
    ) {
        self.noiseScale = noiseScale
        self.point = point
        self.learningRate = learningRate
        self.diverged = diverged
        self.curve = curve
    }

    /// Returns the result as input for the analysis.
    func trained(secondsPerStep: Double, seconds: Double? = nil) -> TrainedPoint {
        TrainedPoint(
            rule: point.rule, batch: point.batch, learningRate: learningRate,
            seed: point.seed, diverged: diverged,
            initialLoss: curve.first?.validationLoss ?? .infinity, curve: Array(curve.dropFirst()),
            secondsPerStep: secondsPerStep, seconds: seconds, noiseScale: noiseScale)
    }
}

extension SweepSpecification {
    /// The recipe of the grid's first point, for the values that all points share.
    ///
    /// - Throws: the failures of `recipe(for:)`.
    package var firstRecipe: Recipe {
        get throws(Failure) {
            let first = try members[0].specification
            return try first.recipe(for: first.firstPoint(ofBatch: batches[0]))
        }
    }

    /// Returns a point of a batch, for values that do not depend on the rate and the seed.
    package func firstPoint(ofBatch batch: Int) -> SweepPoint {
        SweepPoint(batch: batch, rate: rates(ofBatch: batch)[0], seed: seeds[0])
    }

    /// Returns the recipe of a point's run.
    ///
    /// The recipe's own [scaling] is ignored. The lanes are set if the recipe leaves them unset,
    /// because their default depends on the number of ranks, whereas a point must be the same on
    /// any number of ranks.
    ///
    /// - Throws: `Failure` (configuration) if the recipe is invalid, or if a number of tokens is
    ///   not a whole number of the batch's steps.
    package func recipe(for point: SweepPoint) throws(Failure) -> Recipe {
        guard !hasSizes else { return try member(point.variant).recipe(for: point) }
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
            throw located(
                .key(
                    "[schedule] name", "\"\(recipe.schedule.name.rawValue)\"",
                    "has a rate that is still decaying when a run is compared before its end",
                    remedy: "set schedule.name = \"constant\" with training.averaging_power = 7, "
                        + "or give only one of tokens and steps, with one number"))
        }
        try validate(recipe)
        return recipe
    }

    /// Returns the recipe of a batch. With a rule, `rate` is the rate at the base batch; without a
    /// rule, it is the rate at the batch.
    ///
    /// - Throws: `Failure` (configuration) if the recipe is invalid.
    func recipe(batch: Int, rate: Double, rule: SweepRule?) throws(Failure) -> Recipe {
        var recipe = baseRecipe
        recipe.training.globalBatch = batch
        recipe.optimizer.learningRate = rate
        recipe.scaling = rule?.scaling ?? ScalingConfiguration()
        if rule == nil { recipe.scaling.rule = .none }
        recipe.scaling.baseBatch = rule == nil ? batch : baseBatch
        try validate(recipe)
        return recipe
    }

    private func validate(_ recipe: Recipe) throws(Failure) {
        do throws(Failure) { try recipe.validate() } catch { throw located(error) }
    }

    /// Returns whether a batch's runs are compared only at their end.
    private func hasOneComparison(batch: Int, contextLength: Int) -> Bool {
        Set(steps + tokens.map { $0 / (batch * contextLength) }).count == 1
    }

    private func checkTokens(batch: Int, contextLength: Int) throws(Failure) {
        let perStep = batch * contextLength
        for count in tokens where count % perStep != 0 || count < perStep {
            // A multiple of this number is a whole number of steps of every batch.
            let common = Double(batches.reduce(1, leastCommonMultiple)) * Double(contextLength)
            let nearest = max(1, (Double(count) / common).rounded()) * common
            let remedy =
                common < 1e9 && nearest < 1e15
                ? "use \(Int(nearest)) or other batches" : "use other batches"
            throw .key(
                "\(path): tokens", tokens,
                "contains \(count), which is not a multiple of \(perStep), the tokens in a step of "
                    + "batch \(batch)",
                remedy: remedy)
        }
    }
}

/// Returns the least common multiple of `a` and `b`, but at most 2^52.
func leastCommonMultiple(_ a: Int, _ b: Int) -> Int {
    var (divisor, rest) = (a, b)
    while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
    let (product, overflow) = (a / divisor).multipliedReportingOverflow(by: b)
    return overflow ? 1 << 52 : min(product, 1 << 52)
}
