import Report
import Statistics
import Support

/// A model whose best rate is compared with those of other sizes.
package struct SizedModel: Sendable, Hashable {
    package let name: String
    /// The parameters outside the embeddings and the head.
    package let parameters: Int

    package init(name: String, parameters: Int) {
        self.name = name
        self.parameters = parameters
    }
}

/// The losses of one model's runs, after the tokens or steps at which models are compared.
package struct SizedRuns: Sendable {
    package let model: SizedModel
    package let runs: [TrainedPoint]

    /// Creates a model's data from its points.
    ///
    /// - Parameter design: the comparison; its number of tokens or steps may differ between models.
    package init(_ model: SizedModel, _ points: [TrainedPoint], design: Design) {
        self.model = model
        // The number of parameters takes the place of the batch, and the comparison's loss that of
        // the curve.
        runs = points.compactMap { point in
            guard let loss = point.loss(at: design) else { return nil }
            return TrainedPoint(
                batch: model.parameters, learningRate: point.learningRate, seed: point.seed,
                diverged: !loss.isFinite, initialLoss: .infinity,
                curve: loss.isFinite ? [CurvePoint(step: 1, tokens: 1, validationLoss: loss)] : [],
                // The whole run is one step.
                secondsPerStep: point.secondsPerStep * Double(point.curve.last?.step ?? 0),
                seconds: point.seconds)
        }
    }

    fileprivate static let design = Design.equalTokens(1)
}

/// The transfer of the smallest model's best rate to larger models (Yang et al. 2022, 2203.03466).
///
/// The analysis treats the sizes of one parametrization as batches of a sweep, and a fixed rate as
/// the rule.
package struct TransferAnalysis: Sendable, Equatable {
    /// The models in ascending order of their numbers of parameters.
    package let models: [SizedModel]
    /// The best rate of each model.
    package let optima: [BatchOptimum]
    /// The exponent p of a best rate proportional to N^p, with N parameters.
    package let exponent: RateExponent
    /// The verdict on keeping the smallest model's best rate.
    package let verdict: RuleVerdict
    /// The valley that the best rates share, or nil if no model has one.
    package let valley: ValleySummary?
    /// The runs that would decide the undecided models below the first one at which the rate fails;
    /// nil if there is no such model.
    package let nextRuns: NextRuns?
    package let tolerance: Double

    /// Analyzes the transfer. Returns nil if fewer than two models have runs.
    package init?(_ runs: [SizedRuns], settings: AnalysisSettings) {
        let sorted = runs.filter { !$0.runs.isEmpty }.sorted {
            $0.model.parameters < $1.model.parameters
        }
        guard let base = sorted.first, sorted.count > 1 else { return nil }
        precondition(
            Set(sorted.map(\.model.parameters)).count == sorted.count,
            "models differ in their parameters")
        models = sorted.map(\.model)
        tolerance = settings.tolerance
        var settings = settings
        (settings.designs, settings.rules) = ([SizedRuns.design], [.none])
        settings.targetLosses = []
        let (optima, valley) = BatchOptimum.all(
            BatchLosses.all(sorted.flatMap(\.runs), design: SizedRuns.design), settings: settings)
        self.optima = optima
        exponent = RateExponent(optima, level: settings.level)
        let verdicts = DesignAnalysis.lookedUp(
            optima, valley, baseBatch: base.model.parameters, settings: settings)
        guard let verdict = verdicts.first else { return nil }
        self.verdict = verdict
        self.valley = valley.map(ValleySummary.init)
        nextRuns = Self.nextRuns(
            toDecide: verdict, after: sorted, optima: optima, valley: valley, settings)
    }

    /// Returns the runs that would decide how far the rate transfers.
    private static func nextRuns(
        toDecide verdict: RuleVerdict, after runs: [SizedRuns], optima: [BatchOptimum],
        valley: SharedValley?, _ settings: AnalysisSettings
    ) -> NextRuns? {
        let smallest = optima[0].batch
        // A failure settles a rule, but below it a model may still be open.
        let end = verdict.failsFrom ?? .max
        let open = optima.filter { $0.batch < end }
        let verdicts = DesignAnalysis.lookedUp(
            open, valley, baseBatch: smallest, settings: settings)
        return NextRuns(
            verdicts, open, valley: valley, points: runs.flatMap(\.runs), baseBatch: smallest,
            settings: settings)
    }

    /// Returns the name of the model with the given number of parameters.
    package func name(of parameters: Int) -> String {
        models.first { $0.parameters == parameters }?.name ?? "\(parameters)"
    }

    /// The verdict in one sentence.
    package var sentence: String {
        guard let best = optima.first?.optimum.best else {
            let reason = optima.first.map { " (\($0.reason))" } ?? ""
            return "the smallest model, \(models[0].name), has no best rate to keep\(reason), so "
                + "its transfer is undecided."
        }
        let rate = NumberStyle.scientific.text(best.rate)
        var predicates: [String] = []
        if let reach = verdict.reachBeyondBase {
            predicates.append("transfers up to \(name(of: reach)) (regret <= \(tolerance) at 95 %)")
        }
        if !verdict.holdsBeyondGap.isEmpty {
            predicates.append(
                "transfers to \(Format.list(verdict.holdsBeyondGap.map(name(of:))))")
        }
        if let failure = verdict.failsFrom {
            let cost = Self.cost(verdict.regrets.first { $0.batch == failure })
            let isLast =
                verdict.holdsBeyondFailure.isEmpty && verdict.undecidedBeyondFailure.isEmpty
            let failures = models.filter { verdict.word(atBatch: $0.parameters) == "fails" }
            predicates.append(
                isLast
                    ? "fails from \(name(of: failure))\(cost)"
                    : "fails at \(Format.list(failures.map(\.name)))")
        }
        if !verdict.allUndecided.isEmpty {
            let names = verdict.allUndecided.map { name(of: $0.batch) }
            predicates.append("is undecided at \(Format.list(names))")
        }
        return "the best rate of \(models[0].name), \(rate), \(Format.list(predicates))."
    }

    /// The reasons why models are undecided, in one sentence; nil if none is undecided, or if the
    /// smallest model has no best rate.
    package var undecidedSentence: String? {
        guard optima.first?.optimum.best != nil, !verdict.allUndecided.isEmpty else { return nil }
        let groups = verdict.groupedGaps { $0.cause.reason(for: .models) }.map { reason, models in
            "\(Format.list(models.map(name))) (\(reason))"
        }
        return "The transfer is undecided at \(Format.list(groups))."
    }

    private static func cost(_ regret: Regret?) -> String {
        switch regret?.outcome {
        case .measured(let estimate):
            " (regret \(Format.significant(estimate.value, digits: 2)) nats)"
        case .diverged, .belowDivergence: " (it diverges)"
        case .outsideGrid, .unavailable, nil: ""
        }
    }

    /// The exponent in one sentence, or nil if it is unknown.
    package var exponentSentence: String? {
        guard let estimate = exponent.exponent else { return nil }
        func number(_ value: Double) -> String { Format.fixed(value, decimals: 2) }
        let interval = estimate.interval.map {
            " (\(number($0.lower)) to \(number($0.upper)) at 95 %)"
        }
        return exponent.fits
            ? "The best rate is proportional to N^\(number(estimate.value))\(interval ?? "") for N "
                + "parameters outside the embeddings and the head."
            : "No power law of the number of parameters fits the best rates."
    }

    /// The sentences that follow the verdict.
    package var details: [String] {
        [undecidedSentence, bestGuess, nextRunsSentence, exponentSentence].compactMap(\.self)
    }

    /// Returns the verdict on a model in a word: "base" for the smallest one, where nothing is
    /// tested, unless it has no best rate.
    private func word(of model: SizedModel) -> String {
        verdict.startsFrom(model.parameters) ? "base" : verdict.word(atBatch: model.parameters)
    }

    /// The best rates and the regrets of the smallest model's rate.
    package var table: Table {
        var table = Table(
            columns: [
                .init("model", .left), .init("N"), .init("best rate"), .init("interval"),
                .init("loss"), .init("regret"), .init("interval"), .init("verdict", .left),
            ])
        func rate(_ value: Double) -> String { NumberStyle.scientific.text(value) }
        for (model, optimum) in zip(models, optima) {
            let best = optimum.optimum.best
            let regret = verdict.regrets.first { $0.batch == model.parameters }
            var cells = ["-", "-"]
            switch regret?.outcome {
            case .measured(let estimate):
                func nats(_ value: Double) -> String { Format.fixed(value, decimals: 4) }
                cells = [
                    nats(estimate.value),
                    estimate.interval.map { "\(nats($0.lower)) to \(nats($0.upper))" } ?? "-",
                ]
            case .diverged: cells[0] = "diverges"
            case .belowDivergence: cells[0] = "next to a divergence"
            case .outsideGrid: cells[0] = "outside the grid"
            case .unavailable, nil: break
            }
            table.add(
                .init(
                    [
                        model.name, Format.count(model.parameters),
                        best.map { rate($0.rate) } ?? "-",
                        best?.interval.map { "\(rate($0.lower)) to \(rate($0.upper))" } ?? "-",
                        best.map { Format.fixed($0.loss, decimals: 4) } ?? "-",
                    ] + cells + [word(of: model)]))
        }
        return table
    }
}
