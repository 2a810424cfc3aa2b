import Statistics
import Support

extension DesignAnalysis {
    /// A sentence about the rule with the smallest estimated regret, whether or not it is shown to
    /// hold; nil if no rule has an estimate at every batch.
    package var bestGuess: String? {
        let costs = verdicts.filter { $0.basis == .baseRate }.compactMap { verdict in
            verdict.greatestEstimate.map { (verdict: verdict, cost: $0) }
        }
        guard let best = costs.min(by: { $0.cost < $1.cost }), optima.count >= 2 else { return nil }
        let doubt =
            best.verdict.holdsUpTo == optima.last?.batch
            ? "" : ", but it \(best.verdict.failure ?? "is not shown to hold at every batch")"
        return "Best guess: \(best.verdict.name) has the smallest estimated regrets, at most "
            + "\(Self.text(best.cost)) nats\(doubt)."
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
