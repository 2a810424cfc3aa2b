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
        let isShownToHold = best.verdict.holdsUpTo == optima.last?.batch
        return "Best guess: \(best.verdict.name) has the smallest estimated regrets, at most "
            + "\(Format.significant(best.cost, digits: 2)) nats"
            + (isShownToHold ? "." : ", but it is not shown to hold at every batch.")
    }
}

extension RuleVerdict {
    /// The greatest estimated regret from the base batch up, or nil if a batch has no estimate.
    fileprivate var greatestEstimate: Double? {
        let values = judgedRegrets.map { regret -> Double? in
            if case .measured(let estimate) = regret.outcome { estimate.value } else { nil }
        }
        let known = values.compactMap(\.self)
        return known.count == values.count ? known.max() : nil
    }
}
