import Support

/// Everything that a sweep over learning rate, batch and seed says, by each design.
package struct Analysis: Sendable, Equatable {
    package let designs: [DesignAnalysis]
    /// The batch whose own best rate the rules scale, in sequences.
    package let baseBatch: Int
    /// The regret up to which a rule holds, in nats.
    package let tolerance: Double
    /// The level of every interval.
    package let level: Double

    /// Analyses a sweep.
    ///
    /// - Parameter points: the runs; those of rule `TrainedPoint.grid` are the grid, others are
    ///   judged against it.
    /// - Throws: a failure that names the first setting or run that is impossible or twice there.
    package init(_ points: [TrainedPoint], settings: AnalysisSettings = AnalysisSettings())
        throws(Failure)
    {
        for point in points { try point.validate() }
        try Self.refuseRepetitions(points)
        let batches = points.filter { $0.rule == TrainedPoint.grid }.map(\.batch)
        guard let smallest = batches.min() else {
            throw Failure(
                .badData,
                "the sweep has no run whose rate was given directly: train a grid of rates")
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
        where analyses[index].targets == analyses[0].targets {
            analyses[index].repeatsTargets = true
        }
        self.designs = analyses
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
            // A rule gives one rate to a batch; seeds may differ in it.
            let rate = point.rule == TrainedPoint.grid ? point.learningRate : 0
            let key = Key(rule: point.rule, batch: point.batch, rate: rate, seed: point.seed)
            guard seen.insert(key).inserted else {
                throw Failure(
                    .badData, "\(point.name) is in the sweep twice: leave one of them out")
            }
        }
    }
}

/// What a sweep says by one design.
package struct DesignAnalysis: Sendable, Equatable {
    package let design: Design
    /// The best rate of each batch, rising.
    package let optima: [BatchOptimum]
    package let exponent: RateExponent
    package let models: ModelComparison
    /// The rules whose rates were looked up on the grid, then those that were trained.
    package let verdicts: [RuleVerdict]
    /// By batch.
    package let sensitivities: [Sensitivity]
    package let targets: [TargetLoss]
    /// Whether they are the first design's, as its best rates lie nearest to the same rates of the
    /// grid.
    package fileprivate(set) var repeatsTargets = false
    /// The rules' verdicts in one sentence.
    package let sentence: String
    /// Why rules that were trained are not among the verdicts; nil where they are, or none was.
    package let trainedElsewhere: String?

    init(_ design: Design, points: [TrainedPoint], baseBatch: Int, settings: AnalysisSettings) {
        self.design = design
        let grid = points.filter { $0.rule == TrainedPoint.grid }
        let optima = Dictionary(grouping: grid, by: \.batch).sorted { $0.key < $1.key }.map {
            BatchOptimum(batch: $0.key, points: $0.value, design: design, settings: settings)
        }
        self.optima = optima
        exponent = RateExponent(optima, level: settings.level)
        models = ModelComparison(optima, level: settings.level)
        sensitivities = optima.compactMap { Sensitivity($0, level: settings.level) }
        let losses =
            settings.targetLosses.isEmpty
            ? TargetLoss.reachable(optima: optima, points: grid) : settings.targetLosses
        targets = losses.map {
            TargetLoss(loss: $0, optima: optima, points: grid, level: settings.level)
        }
        // A trained rule starts from the base batch's best rate by the first design, and would be
        // blamed for that by the others.
        let isAnchor = settings.designs.isEmpty || design == settings.designs.first
        verdicts =
            Self.lookedUp(optima, baseBatch: baseBatch, settings: settings)
            + (isAnchor
                ? Self.trained(
                    points, design: design, optima: optima, baseBatch: baseBatch,
                    settings: settings) : [])
        sentence = verdictSentence(verdicts, settings: settings)
        let trained = Set(points.map(\.rule)).subtracting([TrainedPoint.grid]).sorted()
        trainedElsewhere =
            isAnchor || trained.isEmpty
            ? nil
            : "\(Format.list(trained)) started from the base batch's best rate by "
                + "\(settings.designs[0].name), and \(trained.count == 1 ? "is" : "are") judged there."
    }

    private static func lookedUp(
        _ optima: [BatchOptimum], baseBatch: Int, settings: AnalysisSettings
    ) -> [RuleVerdict] {
        guard let base = optima.first(where: { $0.batch == baseBatch }) else { return [] }
        return settings.rules.map { rule in
            RuleVerdict(
                rule: rule.name, isTrained: false,
                regrets: optima.map {
                    Regret(rule, at: $0, base: base, settings: settings)
                }, optima: optima, baseBatch: baseBatch, settings: settings)
        }
    }

    private static func trained(
        _ points: [TrainedPoint], design: Design, optima: [BatchOptimum], baseBatch: Int,
        settings: AnalysisSettings
    ) -> [RuleVerdict] {
        let byRule = Dictionary(
            grouping: points.filter { $0.rule != TrainedPoint.grid }, by: \.rule)
        return byRule.sorted { $0.key < $1.key }.map { rule, points in
            let largest = points.map(\.batch).max() ?? 0
            let regrets = optima.filter { $0.batch <= largest }.map { optimum in
                Regret(
                    trained: points.filter { $0.batch == optimum.batch }, at: optimum,
                    design: design, settings: settings)
            }
            return RuleVerdict(
                rule: rule, isTrained: true, regrets: regrets, optima: optima,
                baseBatch: baseBatch, settings: settings)
        }
    }
}
