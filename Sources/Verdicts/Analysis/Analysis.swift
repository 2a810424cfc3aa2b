import Support

/// The findings of a sweep over learning rate, batch and seed.
package struct Analysis: Sendable, Equatable {
    /// The findings by each design.
    package private(set) var designs: [DesignAnalysis]
    /// The batch whose best rate the rules scale, in sequences.
    package let baseBatch: Int
    /// The regret up to which a rule holds, in nats.
    package let tolerance: Double
    /// The level of every interval.
    package let level: Double

    /// Analyzes a sweep.
    ///
    /// - Parameter points: the runs. The runs of the rule `TrainedPoint.grid` are the grid, and the
    ///   others are compared with it.
    /// - Throws: `Failure` (bad data) that names the first run that is invalid or repeated;
    ///   `Failure` (usage) that names the first setting that is invalid.
    package init(_ points: [TrainedPoint], settings: AnalysisSettings = AnalysisSettings())
        throws(Failure)
    {
        for point in points { try point.validate() }
        try Self.refuseRepetitions(points)
        let batches = points.filter { $0.rule == TrainedPoint.grid }.map(\.batch)
        guard let smallest = batches.min() else {
            throw .about(
                .badData, "the sweep", "has no run whose rate was given directly",
                remedy: "train a grid of rates")
        }
        try settings.validate()
        let base = settings.baseBatch ?? smallest
        baseBatch = base
        tolerance = settings.tolerance
        level = settings.level
        let grid = points.filter { $0.rule == TrainedPoint.grid }
        let designs = settings.designs.isEmpty ? Design.furthest(in: grid) : settings.designs
        var analyses = designs.map {
            DesignAnalysis($0, points: points, baseBatch: base, settings: settings)
        }
        for index in analyses.indices.dropFirst()
        where !analyses[0].targets.isEmpty && analyses[index].targets == analyses[0].targets {
            analyses[index].repeatsTargets = true
        }
        self.designs = analyses
    }

    /// Replaces the next runs of every design with a rule that is not settled.
    package mutating func replaceNextRuns(_ replacement: (NextRuns?) -> NextRuns?) {
        for index in designs.indices where !designs[index].isSettled {
            designs[index].nextRuns = replacement(designs[index].nextRuns)
        }
    }

    private static func refuseRepetitions(_ points: [TrainedPoint]) throws(Failure) {
        struct Key: Hashable {
            let rule: String
            let batch: Int
            let rate: Double
            let seed: UInt64
        }
        var seen: Set<Key> = []
        for point in points {
            // A rule gives one rate to each batch and seed, so its runs differ only in these.
            let rate = point.rule == TrainedPoint.grid ? point.learningRate : 0
            let key = Key(rule: point.rule, batch: point.batch, rate: rate, seed: point.seed)
            guard seen.insert(key).inserted else {
                throw point.failure("is in the sweep twice", remedy: "leave one of them out")
            }
        }
    }
}

/// The findings of a sweep by one design.
package struct DesignAnalysis: Sendable, Equatable {
    package let design: Design
    /// The best rate of each batch, sorted by batch.
    package let optima: [BatchOptimum]
    /// The valley that the best rates share, or nil if no batch has one.
    package let valley: ValleySummary?
    package let exponent: RateExponent
    package let models: ModelComparison
    /// The verdicts on the rules whose rates were looked up on the grid, then those on the rules
    /// that were trained.
    package let verdicts: [RuleVerdict]
    /// The verdicts on the same rules with constants that are fitted to all batches.
    package let fittedVerdicts: [RuleVerdict]
    /// The sensitivity of each batch, sorted by batch.
    package let sensitivities: [Sensitivity]
    package let targets: [TargetLoss]
    /// Whether `targets` equal those of the first design. They do if the best rates of both designs
    /// are nearest to the same rates of the grid.
    package fileprivate(set) var repeatsTargets = false
    /// The runs that would decide the undecided verdicts, or nil if every verdict is decided.
    package fileprivate(set) var nextRuns: NextRuns?
    /// Whether there are rules that are judged, and each holds up to the largest batch or fails at
    /// some batch.
    package var isSettled: Bool { !verdicts.isEmpty && verdicts.allSatisfy(\.isSettled) }
    /// The rules' verdicts in one sentence.
    package let sentence: String
    /// The reason, as a sentence, why the rules that were trained have no verdict by this design;
    /// nil if they have one or no rule was trained.
    package let trainedElsewhere: String?

    init(_ design: Design, points: [TrainedPoint], baseBatch: Int, settings: AnalysisSettings) {
        self.design = design
        let grid = points.filter { $0.rule == TrainedPoint.grid }
        let (optima, valley) = BatchOptimum.all(
            BatchLosses.all(grid, design: design), settings: settings)
        self.optima = optima
        self.valley = valley.map(ValleySummary.init)
        exponent = RateExponent(optima, level: settings.level)
        models = ModelComparison(optima, level: settings.level)
        sensitivities = optima.compactMap { Sensitivity($0, level: settings.level) }
        let losses =
            settings.targetLosses ?? TargetLoss.reachable(optima: optima, points: grid)
        targets = losses.map {
            TargetLoss(loss: $0, optima: optima, points: grid, level: settings.level)
        }
        // A trained rule starts from the base batch's best rate by the first design. By another
        // design it would be blamed for the rate that it starts from.
        let isAnchor = settings.designs.isEmpty || design == settings.designs.first
        let lookedUp = Self.lookedUp(optima, valley, baseBatch: baseBatch, settings: settings)
        nextRuns = NextRuns(
            lookedUp, optima, valley: valley, points: grid, baseBatch: baseBatch,
            settings: settings)
        verdicts =
            lookedUp
            + (isAnchor
                ? Self.trained(
                    points, design: design, optima: optima, valley: valley, baseBatch: baseBatch,
                    settings: settings) : [])
        fittedVerdicts = Self.fitted(optima, valley, baseBatch: baseBatch, settings: settings)
        sentence = verdictSentence(verdicts, batches: optima.count, settings: settings)
        let trained = Set(points.map(\.rule)).subtracting([TrainedPoint.grid]).sorted()
        trainedElsewhere =
            isAnchor || trained.isEmpty
            ? nil
            : "\(Format.list(trained)) \(trained.count == 1 ? "was" : "were") trained from the "
                + "base batch's best rate by \(settings.designs[0].name), so "
                + "\(trained.count == 1 ? "it is" : "they are") judged only by that comparison."
    }

    /// Whether only one batch has runs, so that there is nothing to say about rules and laws.
    package var hasOneBatch: Bool { optima.count == 1 }

    /// Returns the verdicts on the rules that scale the base batch's best rate.
    static func lookedUp(
        _ optima: [BatchOptimum], _ valley: SharedValley?, baseBatch: Int,
        settings: AnalysisSettings
    ) -> [RuleVerdict] {
        guard let base = optima.first(where: { $0.batch == baseBatch }) else { return [] }
        return settings.rules.map { rule in
            RuleVerdict(
                rule: rule.name, basis: .baseRate,
                regrets: optima.map {
                    Regret(rule, at: $0, base: base, valley: valley, settings: settings)
                }, optima: optima, baseBatch: baseBatch, settings: settings)
        }
    }

    private static func fitted(
        _ optima: [BatchOptimum], _ valley: SharedValley?, baseBatch: Int,
        settings: AnalysisSettings
    ) -> [RuleVerdict] {
        settings.rules.compactMap { rule in
            Regret.fitted(
                rule, optima, baseBatch: baseBatch, valley: valley, settings: settings
            ).map { regrets in
                RuleVerdict(
                    rule: rule.name, basis: .fittedConstant, regrets: regrets, optima: optima,
                    baseBatch: baseBatch, settings: settings)
            }
        }
    }

    private static func trained(
        _ points: [TrainedPoint], design: Design, optima: [BatchOptimum], valley: SharedValley?,
        baseBatch: Int, settings: AnalysisSettings
    ) -> [RuleVerdict] {
        let byRule = Dictionary(
            grouping: points.filter { $0.rule != TrainedPoint.grid }, by: \.rule)
        return byRule.sorted { $0.key < $1.key }.map { rule, points in
            let largest = points.map(\.batch).max() ?? 0
            let regrets = optima.filter { $0.batch <= largest }.map { optimum in
                Regret(
                    trained: points.filter { $0.batch == optimum.batch }, at: optimum,
                    design: design, valley: valley, settings: settings)
            }
            return RuleVerdict(
                rule: rule, basis: .trained, regrets: regrets, optima: optima,
                baseBatch: baseBatch, settings: settings)
        }
    }
}
