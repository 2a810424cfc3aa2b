import Recipes
import Support

extension SweepSpecification {
    /// The comparisons, the first of which anchors the rules that are trained.
    package var designs: [Design] {
        tokens.reversed().map(Design.equalTokens) + steps.reversed().map(Design.equalSteps)
    }

    /// How to have the comparison that the specification lacks, in a sentence; nil where it has
    /// both.
    var otherComparison: String? {
        guard tokens.isEmpty || steps.isEmpty else { return nil }
        let (own, other) = steps.isEmpty ? ("tokens", "steps") : ("steps", "tokens")
        return
            "batches are compared by equal \(own) alone; \(other) in the specification would compare "
            + "them by equal \(other) as well, which may have another answer"
    }

    /// How the results are analysed.
    package var analysisSettings: AnalysisSettings {
        AnalysisSettings(
            baseBatch: baseBatch, designs: designs, rules: lookedUpRules,
            targetLosses: targetLosses, tolerance: tolerance)
    }

    /// The rules that change the rate alone, so that the grid shows what they do.
    private var lookedUpRules: [ScalingRule] {
        rules.filter { !$0.isTrained }.map { rule in
            ScalingRule(rule.name) { base, ratio in
                let batch = Int((ratio * Double(baseBatch)).rounded())
                return (try? rate(of: rule, batch: batch, base: base)) ?? .nan
            }
        }
    }

    /// What a rule makes of the base batch's rate at a batch.
    ///
    /// - Throws: a `.configuration` failure where the rule cannot be applied to the recipe or the
    ///   batch.
    package func rate(of rule: SweepRule, batch: Int, base: Double) throws(Failure) -> Double {
        let recipe = try recipe(batch: batch, rate: base, rule: rule)
        return try recipe.scaling.resolve(recipe.optimizer, globalBatch: batch).peakLearningRate
    }

    /// The batches at which a rule is trained, if it is: those that it reaches.
    ///
    /// - Throws: a `.configuration` failure of the recipe.
    package func batches(reachedBy rule: SweepRule) throws(Failure) -> [Int] {
        let recipe = try recipe(batch: baseBatch, rate: learningRates[0], rule: rule)
        return batches.filter { recipe.scaling.reaches($0, with: recipe.optimizer) }
    }

    /// Checks that runs of this specification and of another can stand in one sweep.
    ///
    /// - Throws: a `.configuration` failure that names what differs.
    package func requireSameRuns(as other: SweepSpecification) throws(Failure) {
        let differences = [
            ("recipe", recipeText != other.recipeText), ("[set]", settings != other.settings),
            ("base_batch", baseBatch != other.baseBatch),
            ("grid_exponent", gridExponent != other.gridExponent),
            ("tokens", tokens != other.tokens), ("steps", steps != other.steps),
            ("evaluations", evaluations != other.evaluations),
        ]
        guard let difference = differences.first(where: { $0.1 }) else { return }
        throw Failure(
            .configuration,
            "\(difference.0) differs from the sweep being resumed, so their runs would not be comparable; "
                + "keep it, or start a new sweep (only batches, learning_rates, seeds, rules, extend, "
                + "tolerance and target_losses may change).")
    }

    /// Checks that every point that is known beforehand has a recipe, and every rule a rate at each
    /// batch that it reaches, whatever rate of the grid it starts from.
    ///
    /// - Throws: `Failure` (configuration) that names the first point or rule without one.
    package func validate() throws(Failure) {
        for batch in batches {
            for rate in rates(ofBatch: batch) {
                _ = try recipe(for: SweepPoint(batch: batch, rate: rate, seed: seeds[0]))
            }
        }
        for rule in rules {
            for batch in try batches(reachedBy: rule) {
                for base in learningRates { _ = try rate(of: rule, batch: batch, base: base) }
                guard rule.isTrained else { continue }
                _ = try recipe(
                    for: SweepPoint(
                        rule: rule.name, batch: batch,
                        rate: learningRates[learningRates.count / 2], seed: seeds[0]))
            }
        }
    }
}
