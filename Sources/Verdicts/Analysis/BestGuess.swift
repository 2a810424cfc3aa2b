import Statistics
import Support

extension DesignAnalysis {
    /// A sentence about the rule with the smallest estimated regret, whether or not it is shown to
    /// hold; nil if no such rule has an estimate at every batch.
    ///
    /// A rule that fails is considered only if every rule fails.
    package var bestGuess: String? {
        let judged = verdicts.filter { $0.basis == .baseRate && $0.isJudged }
        let mayHold = judged.filter { $0.failsFrom == nil }
        let costs = (mayHold.isEmpty ? judged : mayHold).compactMap { verdict in
            verdict.greatestEstimate.map { (verdict: verdict, cost: $0) }
        }
        guard let best = costs.min(by: { $0.cost < $1.cost }), optima.count >= 2 else { return nil }
        let cost = "at most \(Self.text(best.cost)) nats"
        guard !mayHold.isEmpty else {
            let kind =
                verdicts.contains(where: \.isTrained) ? "rule that changes only the rate" : "rule"
            return
                "Best guess: no \(kind) is good at every batch; \(best.verdict.name) comes closest, "
                + "with estimated regrets of \(cost)."
        }
        let doubt =
            best.verdict.holdsUpTo == optima.last?.batch
            ? "" : ", but it is not shown to hold at every batch"
        return "Best guess: \(best.verdict.name) has the smallest estimated regrets"
            + "\(mayHold.count < judged.count ? " of the rules that may hold" : ""), \(cost)\(doubt)."
    }
}

extension DesignAnalysis {
    private static func text(_ cost: Double) -> String {
        cost < 1e-4 ? "0.0001" : Format.significant(cost, digits: 2)
    }
}

extension RuleVerdict {
    /// The greatest estimated regret from the base batch up, or nil if a batch has none or only a
    /// lower bound.
    fileprivate var greatestEstimate: Double? {
        let values = judgedRegrets.map { regret -> Double? in
            guard case .measured(let estimate) = regret.outcome, !regret.isLowerBound else {
                return nil
            }
            return estimate.value
        }
        let known = values.compactMap(\.self)
        return known.count == values.count ? known.max() : nil
    }
}
