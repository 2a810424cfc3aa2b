import Statistics
import Support

extension DesignAnalysis {
    /// A sentence about the rule with the least known cost, whether or not it is shown to hold; if
    /// no rule has a known cost, about the measured rates.
    ///
    /// A rule that fails is considered only if every rule fails.
    package var bestGuess: String { "Best guess: \(guess)." }

    private var guess: String {
        let judged = verdicts.filter { $0.basis == .baseRate && $0.isJudged }
        guard !judged.isEmpty else { return "unknown, because no rule is judged; \(measuredRates)" }
        let mayHold = judged.filter { $0.failsFrom == nil }
        guard !mayHold.isEmpty else { return guessIfAllFail(judged) }
        let scope = mayHold.count < judged.count ? " of the rules that may hold" : ""
        if let best = RuleCost.least(of: mayHold) {
            let below = best.verdict.predicatesBelowBase
            let doubt =
                best.verdict.holdsUpTo != optima.last?.batch
                ? "; it is not shown to hold at every batch"
                : below.isEmpty ? "" : "; it \(Format.list(below))"
            return best.isKnownEverywhere
                ? "\(best.verdict.name), with the smallest estimated regrets\(scope) "
                    + "(\(best.bound))\(doubt)"
                : "\(best.verdict.name), with the least known cost\(scope) (\(best.text))\(doubt)"
        }
        if let best = RuleCost.least(of: fittedVerdicts.filter { $0.failsFrom == nil }) {
            return "\(best.verdict.name), with the least known cost (\(best.text)); the base batch "
                + "has no best rate, so the costs of rules that scale it are unknown"
        }
        return "unknown, because no cost of a rule that may hold is known; \(measuredRates)"
    }

    private func guessIfAllFail(_ judged: [RuleVerdict]) -> String {
        let kind =
            verdicts.contains(where: \.isTrained) ? "rule that changes only the rate" : "rule"
        if let fitted = fittedGuess {
            return "no \(kind) that scales the base batch's best rate is good at every batch, but "
                + "\(fitted.rule.fittedSubject) may be, with estimated regrets of at most "
                + "\(RuleCost.text(fitted.cost)) nats"
        }
        let start = "no \(kind) is good at every batch; "
        guard let best = RuleCost.least(of: judged), best.trains else {
            return start + measuredRates
        }
        return start
            + (best.isKnownEverywhere
                ? "\(best.verdict.name) comes closest, with estimated regrets of \(best.bound)"
                : "\(best.verdict.name) comes closest, as far as the runs show: \(best.text)")
    }

    /// The rule with the least cost of those that may hold if their constant is fitted to all
    /// batches; nil unless every rule that scales the base batch's best rate fails and costs more.
    package var fittedGuess: (rule: RuleVerdict, cost: Double)? {
        let judged = verdicts.filter { $0.basis == .baseRate && $0.isJudged }
        guard !judged.isEmpty, judged.allSatisfy({ $0.failsFrom != nil }),
            let fitted = RuleCost.least(of: fittedVerdicts.filter { $0.failsFrom == nil }),
            fitted.isKnownEverywhere
        else { return nil }
        if let scaled = RuleCost.least(of: judged), scaled.isKnownEverywhere,
            scaled.greatest <= fitted.greatest
        {
            return nil
        }
        return (fitted.verdict, fitted.greatest)
    }

    /// A clause with each batch's best rate, or its rate of least loss if it has no best rate.
    private var measuredRates: String {
        let rates = optima.compactMap { optimum in
            (optimum.optimum.best?.rate ?? optimum.gridRate).map {
                "\(Format.significant($0, digits: 3)) at B = \(optimum.batch)"
            }
        }
        guard let first = rates.first else { return "every run diverged or has no loss" }
        return rates.count == 1
            ? "the rate of least loss is \(first)"
            : "the rates of least loss are \(Format.list(rates))"
    }
}

/// The known and the unknown costs of a rule at all batches.
private struct RuleCost {
    let verdict: RuleVerdict
    private var measured: [(batch: Int, nats: Double)] = []
    /// The lower bounds at batches whose least loss is unknown.
    private var leasts: [(batch: Int, nats: Double)] = []
    private var diverging: [Int] = []
    private var unknown: [Int] = []

    /// The least cost that a sentence states, in nats.
    private static let leastCost = 1e-4

    /// Creates the costs of a rule; nil if none is known.
    init?(_ verdict: RuleVerdict) {
        self.verdict = verdict
        // At the base batch, a rule that scales its best rate changes nothing.
        for regret in verdict.regrets
        where verdict.basis != .baseRate || regret.batch != verdict.baseBatch {
            switch regret.outcome {
            case .measured where regret.isLowerBound:
                // A lower bound of 0 says nothing.
                if let least = regret.informativeLower, least >= Self.leastCost {
                    leasts.append((regret.batch, least))
                } else {
                    unknown.append(regret.batch)
                }
            case .measured(let estimate): measured.append((regret.batch, estimate.value))
            case .diverged: diverging.append(regret.batch)
            case .belowDivergence, .outsideGrid, .unavailable: unknown.append(regret.batch)
            }
        }
        guard !(measured + leasts).isEmpty else { return nil }
    }

    /// Returns the rule with the least cost, or nil if no cost is known. A rule whose costs are
    /// known at fewer batches comes later, and one that diverges comes last.
    static func least(of verdicts: [RuleVerdict]) -> RuleCost? {
        verdicts.compactMap(RuleCost.init).min { $0.rank < $1.rank }
    }

    private var rank: (Int, Int, Double) {
        (diverging.count, unknown.count + leasts.count, greatest)
    }

    /// The greatest known cost in nats.
    var greatest: Double { (measured + leasts).map(\.nats).max() ?? .infinity }

    var trains: Bool { diverging.isEmpty }
    var isKnownEverywhere: Bool { trains && unknown.isEmpty && leasts.isEmpty }

    /// An upper bound of the measured costs, such as "at most 0.02 nats".
    var bound: String { "at most \(Self.text(measured)) nats" }

    /// The costs at all batches in words.
    var text: String {
        var parts: [String] = []
        if !measured.isEmpty { parts.append(bound + Self.place(measured.map(\.batch))) }
        if !leasts.isEmpty {
            parts.append("at least \(Self.text(leasts)) nats" + Self.place(leasts.map(\.batch)))
        }
        if !unknown.isEmpty { parts.append("an unknown cost" + Self.place(unknown)) }
        if !diverging.isEmpty { parts.append("runs that diverged" + Self.place(diverging)) }
        return parts.count < 2
            ? parts.joined()
            : parts.dropLast().joined(separator: ", ") + ", and " + parts[parts.count - 1]
    }

    private static func place(_ batches: [Int]) -> String {
        " at B = \(Format.list(batches.map(String.init)))"
    }

    private static func text(_ costs: [(batch: Int, nats: Double)]) -> String {
        text(costs.map(\.nats).max() ?? 0)
    }

    static func text(_ cost: Double) -> String {
        Format.significant(max(leastCost, cost), digits: 2)
    }
}
