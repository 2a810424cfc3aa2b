import Glibc
import Report
import Statistics
import Support

/// The best guess about an undecided transfer, and the runs that would decide it.
extension TransferAnalysis {
    /// A sentence about the estimated cost of the smallest model's rate at each larger model.
    package var bestGuess: String {
        guard let base = optima.first else { return "" }
        if let best = base.optimum.best {
            let costs = costs(verdict.regrets.filter { $0.batch > base.batch }.map(Cost.init))
            let rate = NumberStyle.scientific.text(best.rate)
            return "Best guess: keeping the best rate of \(models[0].name), \(rate), \(costs)."
        }
        guard let rate = base.grid.leastLossRate else {
            return "There is no best guess yet, because no run of \(models[0].name) has a loss."
        }
        let costs = costs(optima.dropFirst().map { Cost($0, at: log(rate)) })
        return "Best guess: the least loss of \(models[0].name) is at "
            + "\(NumberStyle.scientific.text(rate))\(place(of: rate, in: base.grid)). Keeping this "
            + "rate \(costs)."
    }

    /// Returns the place of a rate in a grid if that is an edge.
    private func place(of rate: Double, in grid: GridEdges) -> String {
        guard grid.rates.count > 1 else { return ", its only rate" }
        if rate == grid.rates.first { return ", its lowest rate" }
        return rate == grid.rates.last ? ", its highest rate that trains" : ""
    }

    /// The cost of a rate at a model, in nats.
    private enum Cost {
        case nats(Double)
        case atLeast(Double)
        case divergence
        case unknown

        init(_ regret: Regret) {
            switch regret.outcome {
            case .measured(let estimate) where regret.isLowerBound:
                self = .atLeast(estimate.value)
            case .measured(let estimate): self = .nats(estimate.value)
            case .diverged: self = .divergence
            case .belowDivergence, .outsideGrid:
                self = regret.lower.map { .atLeast($0) } ?? .unknown
            case .unavailable: self = .unknown
            }
        }

        /// Creates the cost of a rate, compared with the least loss of the grid.
        init(_ optimum: BatchOptimum, at logRate: Double) {
            guard let least = optimum.typical.finite.map(\.loss).min() else {
                self = .unknown
                return
            }
            switch optimum.typical.lookup(logRate) {
            case .loss(let loss):
                self = optimum.optimum.best == nil ? .atLeast(loss - least) : .nats(loss - least)
            case .diverged: self = .divergence
            case .belowDivergence, .outsideGrid: self = .unknown
            }
        }

        var words: String? {
            switch self {
            case .nats(let nats): Self.text(nats)
            case .atLeast(let nats) where nats > 0: "at least \(Self.text(nats))"
            case .atLeast, .divergence, .unknown: nil
            }
        }

        private static func text(_ nats: Double) -> String {
            nats < 1e-4 ? "at most 0.0001" : Format.significant(nats, digits: 2)
        }
    }

    /// Returns a predicate about the costs at the models above the smallest.
    private func costs(_ costs: [Cost]) -> String {
        let larger = models.dropFirst().map(\.name)
        let known = zip(larger, costs).compactMap { name, cost in
            cost.words.map { (name: name, words: $0) }
        }
        var clauses: [String] = []
        if !known.isEmpty {
            let parts = known.enumerated().map { place, cost in
                "\(cost.words)\(place == 0 ? " nats" : "") at \(cost.name)"
            }
            clauses.append("costs \(Format.list(parts))")
        }
        let diverging = zip(larger, costs).compactMap { name, cost in
            if case .divergence = cost { name } else { nil }
        }
        if !diverging.isEmpty { clauses.append("diverges at \(Format.list(diverging))") }
        let unknown = zip(larger, costs).compactMap { name, cost in
            if cost.words != nil { return nil as String? }
            if case .divergence = cost { return nil }
            return name
        }
        if !unknown.isEmpty { clauses.append("has an unknown cost at \(Format.list(unknown))") }
        return Format.list(clauses)
    }

    /// The next runs in one sentence, or nil if there are none.
    package var nextRunsSentence: String? {
        let open = Format.list(verdict.undecided.map { name(of: $0.batch) })
        return nextRuns?.sentence(
            at: { Format.list($0.map(name)) }, subject: { _ in "the transfer to \(open)" })
    }

    /// The findings as a JSON object.
    package var json: JSONObject {
        let rows = zip(models, optima).map { model, optimum -> JSONObject in
            let best = optimum.optimum.best
            let regret = verdict.regrets.first { $0.batch == model.parameters }
            var estimate: Estimate?
            if case .measured(let value)? = regret?.outcome { estimate = value }
            var row: JSONObject = [
                "model": .string(model.name), "parameters": .integer(model.parameters),
                "best_rate": JSONValue(best?.rate),
                "best_rate_interval": Self.json(best?.interval),
                "regret": JSONValue(estimate?.value),
                "regret_interval": Self.json(estimate?.interval),
                "verdict": .string(verdict.word(atBatch: model.parameters)),
                "reason": JSONValue(
                    verdict.allUndecided.first { $0.batch == model.parameters }
                        .map { $0.cause.reason(for: .models) }),
                "to_decide": JSONValue(
                    optimum.decidingRuns?.phrase { Format.list($0.map(name)) }),
            ]
            let own = optimum.json
            for key in Self.sharedKeys { row[key] = own[key] }
            return row
        }
        return [
            "sentence": .string(sentence), "best_guess": .string(bestGuess),
            "next_runs": JSONValue(
                nextRuns.flatMap { runs in
                    nextRunsSentence.map { runs.json(sentence: $0) }
                }),
            "models": .objects(rows), "valley": JSONValue(valley?.json),
            "exponent": JSONValue(exponent.exponent?.value),
            "exponent_interval": Self.json(exponent.exponent?.interval),
        ]
    }

    /// The fields of a batch of `best_rates` that a model has, too.
    private static let sharedKeys = [
        "state", "loss", "standard_error", "degrees_of_freedom", "resolution", "curvature",
        "noise", "seeds", "losses",
    ]

    private static func json(_ interval: Interval?) -> JSONValue {
        interval.map { [.number($0.lower), .number($0.upper)] } ?? .null
    }
}
