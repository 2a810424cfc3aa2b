import Recipes
import Support
import Verdicts

/// A warning about a confound: a property of a sweep's runs that a comparison would mistake for an
/// effect of the batch or of a rule.
package struct SweepWarning: Sendable, Equatable {
    /// The confounds, by their names in analysis.json.
    package enum Confound: String, Sendable {
        /// The rate does not reach its peak before a comparison.
        case unreachedPeak = "unreached peak"
        /// The warmup takes different fractions of the runs that are compared.
        case unequalWarmup = "unequal warmup"
        /// Runs are compared after too few steps of the optimizer.
        case fewSteps = "few steps"
        /// Only some of the runs that are compared have seen data more than once.
        case repeatedData = "repeated data"
        /// Runs are evaluated during warmup.
        case evaluationInWarmup = "evaluation in warmup"
    }

    package let confound: Confound
    /// The batches that the confound concerns, in ascending order.
    package let batches: [Int]
    /// The confound with its numbers, and the remedy.
    package let sentence: String
}

extension SweepSpecification {
    /// Returns warnings about the confounds of the grid's runs.
    ///
    /// If several numbers of tokens, or of steps, have the same confound, the smallest is reported.
    ///
    /// - Parameter trainingTokens: the number of tokens in the training data; nil if unknown.
    /// - Throws: the failures of `recipe(for:)`.
    package func warnings(trainingTokens: Int?) throws(Failure) -> [SweepWarning] {
        guard !hasSizes else {
            var warnings: [SweepWarning] = []
            for member in try members {
                for warning in try member.specification.warnings(trainingTokens: trainingTokens)
                where !warnings.contains(warning) { warnings.append(warning) }
            }
            return warnings
        }
        let confounds = Confounds(
            runs: try batches.map { (batch) throws(Failure) in
                try GridRun(recipe(for: firstPoint(ofBatch: batch)))
            },
            comparisons: [tokens.map(Design.equalTokens), steps.map(Design.equalSteps)],
            trainingTokens: trainingTokens)
        return confounds.warnings
    }
}

/// The properties of a batch's runs on which confounds depend.
private struct GridRun {
    let batch: Int
    let recipe: Recipe
    let schedule: Schedule
    let peakRate: Double
    /// The number of steps before the rate first reaches its peak; all steps if it never does.
    let warmupSteps: Int

    init(_ recipe: Recipe) throws(Failure) {
        self.recipe = recipe
        batch = recipe.training.globalBatch
        let scaling = try recipe.scaling.resolve(recipe.optimizer, globalBatch: batch)
        let steps = recipe.training.steps
        let schedule = try recipe.schedule.resolve(scaling, trainingSteps: steps)
        let peakRate = scaling.peakLearningRate
        // The start of a cosine may differ from the peak by a rounding error.
        warmupSteps =
            (0..<steps).first { schedule.learningRate(at: $0) >= peakRate * (1 - 1e-9) } ?? steps
        self.schedule = schedule
        self.peakRate = peakRate
    }

    var tokensPerStep: Int { batch * recipe.model.contextLength }

    /// Returns the number of steps after which a design compares the run.
    func steps(at design: Design) -> Int {
        switch design {
        case .equalTokens(let tokens): tokens / tokensPerStep
        case .equalSteps(let steps): steps
        }
    }

    /// Returns the fraction of the peak rate that a design's comparison sees at most.
    func reachedPeak(at design: Design) -> Double {
        let steps = steps(at: design)
        guard steps <= warmupSteps else { return 1 }
        return ((0..<steps).lazy.map(schedule.learningRate).max() ?? 0) / peakRate
    }

    /// Returns the fraction of the steps before a design's comparison that the warmup takes.
    func warmupShare(at design: Design) -> Double {
        min(1, Double(warmupSteps) / Double(steps(at: design)))
    }
}

/// The checks of a sweep for confounds.
private struct Confounds {
    /// The fraction of the peak that the rate must reach. Grids are hardly finer than a factor of
    /// 1.2, so 1 % less than the nominal rate changes nothing.
    private static let reachedPeak = 0.99
    /// The ratio of two batches' warmup shares up to which they count as equal. Rounding to whole
    /// steps gives smaller ratios, and neighboring batches usually differ by a factor of 2.
    private static let equalShares = 1.5
    /// The warmup share up to which a difference does not matter: a linear warmup over this share
    /// lowers the mean rate by 1 %. It is also the default share.
    private static let negligibleShare = 0.02
    /// The least length of a run, as a multiple of the steps over which the optimizer averages.
    ///
    /// Adam's steps are unusual for about 2 / (1 - beta2) steps (Ma & Yarats 2019, "On the adequacy
    /// of untuned warmup for adaptive optimization", 1910.04209). In a run of 5 / (1 - beta2) steps
    /// that is 40 %, and the weight of the start in the averages falls below e^-5, or 1 %.
    private static let fewestAverages = 5.0

    /// The runs of the grid, one for each batch in ascending order.
    let runs: [GridRun]
    /// The comparisons by equal tokens and those by equal steps, each in ascending order.
    let comparisons: [[Design]]
    let trainingTokens: Int?

    var warnings: [SweepWarning] {
        let checks = [unreachedPeak, unequalWarmup, fewSteps, repeatedData]
        return checks.flatMap { check in
            comparisons.compactMap { designs in designs.lazy.compactMap(check).first }
        } + [evaluationInWarmup].compactMap(\.self)
    }

    private func unreachedPeak(_ design: Design) -> SweepWarning? {
        warning(.unreachedPeak, runs.filter { $0.reachedPeak(at: design) < Self.reachedPeak }) {
            "\(percent($0.reachedPeak(at: design))) of it in "
                + Format.counted($0.steps(at: design), "step")
        } sentence: { places in
            "By \(design.name), the rate does not reach its peak at \(places), so best rates come "
                + "out too high there; let the schedule reach its peak earlier, or compare after "
                + "more \(design.unit)."
        }
    }

    private func unequalWarmup(_ design: Design) -> SweepWarning? {
        let share = { (run: GridRun) in run.warmupShare(at: design) }
        guard let least = runs.min(by: { share($0) < share($1) }),
            let most = runs.max(by: { share($0) < share($1) }), share(most) > Self.negligibleShare,
            !isRounding(design)
        else { return nil }
        let unset =
            least.recipe.schedule.name == .sequence
            ? "use another schedule than \"sequence\", without warmup_steps"
            : "leave schedule.warmup_steps unset"
        let only =
            comparisons.contains(where: \.isEmpty)
            ? "" : ", and compare only by equal tokens (steps = [])"
        let remedy =
            switch design {
            case .equalTokens:
                "\(unset)\(only), so that the warmup takes 2 % of every run"
            case .equalSteps:
                "set schedule.warmup_steps, so that the warmup takes the same number of steps in "
                    + "every run"
            }
        return warning(
            .unequalWarmup, runs.filter { share($0) > Self.equalShares * share(least) }
        ) { _ in
            nil
        } sentence: { _ in
            "By \(design.name), the warmup takes \(percent(share(least))) of the steps at B = "
                + "\(least.batch) but \(percent(share(most))) at B = \(most.batch), so a rule may "
                + "fail because of the warmup; \(remedy)."
        }
    }

    /// Returns whether the warmups may be one share of all runs, each rounded to whole steps.
    private func isRounding(_ design: Design) -> Bool {
        let shares = { (run: GridRun, steps: Double) in
            (Double(run.warmupSteps) + steps) / Double(run.steps(at: design))
        }
        let least = runs.map { shares($0, -0.5) }.max() ?? 0
        return least <= runs.map { shares($0, 0.5) }.min() ?? 0
    }

    private func fewSteps(_ design: Design) -> SweepWarning? {
        let averages = runs[0].recipe.optimizer.averagingSteps
        let fewest = Int((Self.fewestAverages * averages).rounded())
        return warning(.fewSteps, runs.filter { $0.steps(at: design) < fewest }) {
            // By equal steps, the design's name already has them.
            design.unit == "steps" ? nil : Format.counted($0.steps(at: design), "step")
        } sentence: { places in
            "By \(design.name), runs are compared after fewer than \(Format.count(fewest)) steps ("
                + "\(Format.significant(Self.fewestAverages, digits: 1)) times the "
                + "\(Format.significant(averages, digits: 3)) over which the optimizer averages "
                + "gradients) at \(places), so they show the optimizer's start rather than its "
                + "steady state; compare after more \(design.unit)."
        }
    }

    private func repeatedData(_ design: Design) -> SweepWarning? {
        guard let trainingTokens else { return nil }
        let epochs = { (run: GridRun) in
            Double(run.steps(at: design)) * Double(run.tokensPerStep) / Double(trainingTokens)
        }
        let repeating = runs.filter { epochs($0) > 1 }
        guard repeating.count < runs.count else { return nil }
        return warning(.repeatedData, repeating) {
            "\(Format.significant(epochs($0), digits: 3)) epochs"
        } sentence: { places in
            "By \(design.name), runs have seen the training data more than once at \(places) but "
                + "not at smaller batches, so repetition may affect their losses; compare after "
                + "fewer \(design.unit), or train on more data."
        }
    }

    /// A warning about evaluations other than comparisons, which only target losses use.
    private var evaluationInWarmup: SweepWarning? {
        let firstMarks = runs.map { run in
            run.recipe.evaluation.at.first { mark in
                mark > 0 && !comparisons.joined().contains { run.steps(at: $0) == mark }
            } ?? .max
        }
        let early = zip(runs, firstMarks).filter {
            // The rate of other runs never reaches its peak, which is another confound.
            $0.warmupSteps < $0.recipe.training.steps && $1 < $0.warmupSteps
        }
        let marks = Dictionary(uniqueKeysWithValues: early.map { ($0.batch, $1) })
        return warning(.evaluationInWarmup, early.map(\.0)) { run in
            marks[run.batch].map { "step \($0) of \(run.warmupSteps)" }
        } sentence: { places in
            "Evaluations begin during the warmup at \(places), so the steps to a target loss that "
                + "is reached there are those of the warmup; use fewer evaluations or lower "
                + "target_losses."
        }
    }

    /// Returns a warning about some runs, or nil if there are none.
    ///
    /// - Parameters:
    ///   - detail: returns the numbers of a run.
    ///   - sentence: returns the sentence, given the batches with their numbers.
    private func warning(
        _ confound: SweepWarning.Confound, _ runs: [GridRun], detail: (GridRun) -> String?,
        sentence: (_ places: String) -> String
    ) -> SweepWarning? {
        guard !runs.isEmpty else { return nil }
        let places = runs.map { run in "\(run.batch)\(detail(run).map { " (\($0))" } ?? "")" }
        return SweepWarning(
            confound: confound, batches: runs.map(\.batch),
            sentence: sentence("B = \(Format.list(places))"))
    }
}

private func percent(_ fraction: Double) -> String {
    "\(Format.significant(100 * fraction, digits: 3)) %"
}
