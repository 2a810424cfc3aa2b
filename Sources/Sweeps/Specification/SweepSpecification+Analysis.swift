import Recipes
import Support
import Verdicts

extension SweepSpecification {
    /// The comparisons. The first one gives the base rate of the rules that are trained.
    package var designs: [Design] {
        tokens.reversed().map(Design.equalTokens) + steps.reversed().map(Design.equalSteps)
    }

    /// A hint on how to add the comparison that the specification lacks, or nil if it has both.
    var otherComparison: String? {
        guard !hasSizes, tokens.isEmpty || steps.isEmpty else { return nil }
        let (own, other) = steps.isEmpty ? ("tokens", "steps") : ("steps", "tokens")
        return
            "batches are compared only by equal \(own); add \(other) to the specification to compare "
            + "them by equal \(other) as well, which may give a different answer"
    }

    /// The settings of the analysis.
    package var analysisSettings: AnalysisSettings {
        AnalysisSettings(
            baseBatch: baseBatch, designs: designs, rules: lookedUpRules,
            targetLosses: targetLosses.isEmpty ? nil : targetLosses, tolerance: tolerance)
    }

    /// The rules that change only the rate, so that the grid shows their effect.
    private var lookedUpRules: [RateRule] {
        rules.filter { !$0.isTrained }.map { rule in
            RateRule(rule.name) { base, ratio in
                let batch = Int((ratio * Double(baseBatch)).rounded())
                return (try? rate(of: rule, batch: batch, base: base)) ?? .nan
            }
        }
    }

    /// Returns the rate that a rule prescribes at a batch, given the rate at the base batch.
    ///
    /// - Throws: `Failure` (configuration) if the rule cannot be applied to the recipe or the
    ///   batch.
    package func rate(of rule: SweepRule, batch: Int, base: Double) throws(Failure) -> Double {
        let recipe = try recipe(batch: batch, rate: base, rule: rule)
        do throws(Failure) {
            return try recipe.scaling.resolve(recipe.optimizer, globalBatch: batch).peakLearningRate
        } catch {
            throw located(error)
        }
    }

    /// Returns the batches to which a rule applies.
    ///
    /// - Throws: `Failure` (configuration) if the recipe is invalid.
    package func batches(reachedBy rule: SweepRule) throws(Failure) -> [Int] {
        let recipe = try recipe(batch: baseBatch, rate: learningRates[0], rule: rule)
        return batches.filter { recipe.scaling.reaches($0, with: recipe.optimizer) }
    }

    /// Checks that runs of this specification and of another are comparable within one sweep.
    ///
    /// - Throws: `Failure` (configuration) that names the first difference.
    package func requireSameRuns(as other: SweepSpecification) throws(Failure) {
        let differences = [
            ("recipe", recipeText != other.recipeText), ("[set]", settings != other.settings),
            ("base_batch", baseBatch != other.baseBatch),
            ("grid_exponent", gridExponent != other.gridExponent),
            ("tokens", tokens != other.tokens), ("steps", steps != other.steps),
            ("evaluations", evaluations != other.evaluations),
            ("tokens_per_parameter", tokensPerParameter != other.tokensPerParameter),
            ("the largest size", hasSizes != other.hasSizes || baseSize != other.baseSize),
        ]
        guard let difference = differences.first(where: { $0.1 }) else { return }
        throw .about(
            .configuration, "\(path): \(difference.0)",
            "differs from the sweep being resumed, so their runs would not be comparable",
            remedy: "keep it, or start a new sweep (only batches, learning_rates, seeds, rules, "
                + "extend, tolerance, target_losses, parametrizations and smaller sizes may change)"
        )
    }

    /// Checks that every point of the specified grid has a recipe, and that every rule has a rate
    /// at each batch that it reaches, from any rate of the grid.
    ///
    /// - Throws: `Failure` (configuration) that names the first problem.
    package func validate() throws(Failure) {
        if let patience = baseRecipe.training.patience {
            throw located(
                .key(
                    "[training] patience", patience,
                    "would end runs early, which could then not be compared",
                    remedy: "remove it for a sweep"))
        }
        guard !hasSizes else {
            for member in try members { try member.specification.validate() }
            return
        }
        for batch in batches {
            for rate in rates(ofBatch: batch) {
                _ = try recipe(for: SweepPoint(batch: batch, rate: rate, seed: seeds[0]))
            }
        }
        for rule in rules {
            for batch in try batches(reachedBy: rule) {
                for base in learningRates {
                    let rate = try rate(of: rule, batch: batch, base: base)
                    guard batch == baseBatch else { continue }
                    do throws(Failure) {
                        try rule.scaling.requireBaseRate(rate, base: base)
                    } catch {
                        throw located(error)
                    }
                }
                guard rule.isTrained else { continue }
                _ = try recipe(
                    for: SweepPoint(
                        rule: rule.name, batch: batch,
                        rate: learningRates[learningRates.count / 2], seed: seeds[0]))
            }
        }
    }
}
