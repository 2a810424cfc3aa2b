import Recipes
import Support
import Training

/// The result of a range test for a recipe.
package struct RangeTestResult: Sendable {
    package let curve: RangeCurve
    /// The search that began near the curve's starting rate, and the one that confirmed it if it was
    /// not settled; none if the curve has no starting rate.
    package let searches: [RateSearch]
    package let recommendation: RateRecommendation
    package let plan: TrainingPlan
    /// The text of the user's recipe.
    package let recipeText: String
    /// The step of the checkpoint from which the test began; 0 for new parameters.
    package let startStep: Int
    /// The run of that checkpoint; nil for new parameters.
    package let start: String?
    /// The trained model whose parameters the test began with; nil for none.
    package let initialModel: InitialModelRecord?
    /// The recommended value of `learning_rate`: the rate at the recipe's base batch, rounded to
    /// three digits. Nil if there is no recommendation, or if a rule's formula is not proportional
    /// to the rate.
    package let baseRate: Double?

    package init(
        curve: RangeCurve, searches: [RateSearch], plan: TrainingPlan, recipeText: String,
        startStep: Int, start: String?, initialModel: InitialModelRecord? = nil
    ) {
        self.curve = curve
        self.searches = searches
        self.plan = plan
        self.recipeText = recipeText
        self.startStep = startStep
        self.start = start
        self.initialModel = initialModel
        recommendation = RateRecommendation(curve, searches.last)
        baseRate = recommendation.rate.flatMap { Self.baseRate(of: $0, plan) }
    }

    /// The search that decides; nil if there is none.
    package var search: RateSearch? { searches.last }

    /// Returns the rate at the base batch that the scaling rule turns into `rate` at the global
    /// batch.
    private static func baseRate(of rate: Double, _ plan: TrainingPlan) -> Double? {
        let exact = rate / plan.rate.factor
        // More digits would only reflect the place of the starting rate on the ramp.
        guard let rounded = Double(Format.significant(exact, digits: 3)) else { return nil }
        var optimizer = plan.recipe.optimizer
        optimizer.learningRate = rounded
        let scaled = try? plan.recipe.scaling.resolve(
            optimizer, globalBatch: plan.recipe.training.globalBatch)
        // Rounding changes the rate by at most half a percent, but a formula may change it by more,
        // because it need not be linear.
        guard let scaled, (scaled.peakLearningRate / rate - 1).magnitude < 0.01 else { return nil }
        return rounded
    }

    private var globalBatch: Int { plan.recipe.training.globalBatch }

    // MARK: - Text

    /// The tables of the probes, and the recommendation.
    package var text: String {
        var lines: [String] = []
        for search in searches {
            var table = TextTable(
                ["learning rate", "loss after \(Format.count(search.probeSteps)) steps"],
                leftColumns: 0)
            for probe in search.probes {
                table.add([
                    Format.significant(probe.rate, digits: 3),
                    probe.hasDiverged ? "diverged" : Format.fixed(probe.loss, decimals: 4),
                ])
            }
            lines += table.lines
            if search.probeSteps != searches.last?.probeSteps {
                lines += unsettledText(search).map { [$0] } ?? []
            }
        }
        return (lines + [recommendationText]).joined(separator: "\n")
    }

    /// The reason why a search's probes were repeated with more steps; nil if they are settled.
    func unsettledText(_ search: RateSearch) -> String? {
        search.unsettledRates.map { rates in
            let ends = [rates.lowerBound, rates.upperBound].map {
                Format.significant($0, digits: 2)
            }
            return "not settled: rates from \(ends[0]) to \(ends[1]) are less than a quarter of "
                + "the \(Format.count(search.probeSteps)) steps behind the best, so chance may "
                + "decide their order; repeated with "
                + "\(Format.count(2 * search.probeSteps)) steps"
        }
    }

    /// A sentence about the reason why the ramp ended early; nil if it did not.
    package var endingText: String? {
        guard let last = curve.points.last else { return nil }
        let place =
            "at learning rate \(Format.significant(last.rate, digits: 3)), in step "
            + "\(curve.points.count) of the ramp's \(curve.ramp.steps)"
        return switch curve.ending {
        case .diverged: "the smoothed loss exceeded four times its lowest value \(place)"
        case .notFinite: "the loss or its gradient was not finite \(place)"
        case .complete, nil: nil
        }
    }

    package var recommendationText: String {
        guard let rate = recommendation.rate else {
            return "no recommendation: \(recommendation.reason)"
        }
        let found =
            "recommended: \(Format.significant(rate, digits: 3)) at batch \(globalBatch), "
            + recommendation.reason
        let base = plan.rate.baseBatch
        guard let baseRate else {
            return found
                + "\nthe rule \(plan.rate.rule.rawValue) gives no rate at batch \(base) for "
                + "it; set [optimizer] learning_rate by hand"
        }
        let written = found + "\nlearning_rate = \(baseRate) at base_batch \(base)"
        guard base != globalBatch else { return written + ", which is the global batch" }
        return written + ", which rule \(plan.rate.rule.rawValue) multiplies by "
            + "\(Format.significant(plan.rate.factor, digits: 6)) at batch \(globalBatch)"
    }

    // MARK: - Files

    /// The curve as comma-separated values.
    package var csv: String {
        (["step,learning_rate,loss,smoothed_loss"]
            + curve.points.enumerated().map { step, point in
                "\(step + 1),\(point.rate),\(point.loss),\(point.smoothed)"
            }).joined(separator: "\n") + "\n"
    }

    package var json: JSONObject {
        let ramp = curve.ramp
        let good = search?.goodRates
        let shorter = searches.count > 1 ? searches.first : nil
        let ranges = (search?.goodRanges ?? []).map { range -> JSONValue in
            [.number(range.lowest), .number(range.highest)]
        }
        var object: JSONObject = [
            "from": .number(ramp.from), "to": .number(ramp.to),
            "shape": .string(ramp.shape.rawValue), "steps": .integer(ramp.steps),
            "steps_taken": .integer(curve.points.count),
            "ending": .string(curve.ending?.rawValue ?? ""), "beta": .number(curve.beta),
            "loss_noise": .number(curve.noise), "start_step": .integer(startStep),
            "probe_steps": search.map { .integer($0.probeSteps) } ?? .null,
            "probes": .array((search?.probes ?? []).map { .object($0.json) }),
            "shorter_probe_steps": shorter.map { .integer($0.probeSteps) } ?? .null,
            "shorter_probes": .array((shorter?.probes ?? []).map { .object($0.json) }),
            "probe_noise": search?.noise.map { .number($0) } ?? .null,
            "tolerance": search.map { .number($0.tolerance) } ?? .null,
            "lowest_good_rate": good.map { .number($0.lowest) } ?? .null,
            "highest_good_rate": good.map { .number($0.highest) } ?? .null,
            "good_ranges": .array(ranges),
            "is_open_below": good.map { .bool($0.isOpenBelow) } ?? .null,
            "is_open_above": good.map { .bool($0.isOpenAbove) } ?? .null,
            "recommended_learning_rate": recommendation.rate.map { .number($0) } ?? .null,
            "reason": .string(recommendation.reason), "global_batch": .integer(globalBatch),
            "base_learning_rate": baseRate.map { .number($0) } ?? .null,
            "base_batch": .integer(plan.rate.baseBatch), "rule": .string(plan.rate.rule.rawValue),
            "optimizer": .string(plan.recipe.optimizer.name.rawValue),
        ]
        if let initialModel { object["initial_model"] = .object(initialModel.json) }
        return object
    }
}

extension RateProbe {
    var json: JSONObject {
        [
            "learning_rate": .number(rate), "loss": hasDiverged ? .null : .number(loss),
            "diverged": .bool(hasDiverged), "steps_taken": .integer(losses.count),
        ]
    }
}
