import Support

extension DesignAnalysis {
    /// The reason that undecided verdicts have no next runs; nil if they have some, or if no
    /// verdict is undecided.
    package var settledSentence: String? {
        let open = verdicts.filter { !$0.allUndecided.isEmpty }.map { verdict in
            "\(verdict.name) at B = \(Format.list(verdict.allUndecided.map { "\($0.batch)" }))"
        }
        guard isSettled, nextRuns == nil, !open.isEmpty else { return nil }
        return
            "Next runs: none, because every rule is settled: each holds up to the largest batch or "
            + "fails at some batch. Still undecided: \(open.joined(separator: "; "))."
    }

    /// The finding about the exponent, with the rules that hold although it excludes them.
    package var exponentSentence: String {
        let holding = verdicts.filter { verdict in
            guard case .holds = verdict.conclusion, verdict.basis == .baseRate,
                exponent.exponent != nil
            else { return false }
            let own = CommonRule(rawValue: verdict.rule)?.exponent
            return !exponent.fits || own.map { !exponent.possibleExponents.contains($0) } ?? false
        }
        guard let first = holding.first else { return exponent.sentence }
        let isOne = holding.count == 1
        return "\(exponent.sentence) Still, \(Format.list(holding.map(\.name))) "
            + "\(isOne ? "holds" : "hold") \(first.reach(first.holdsUpTo ?? first.baseBatch)): "
            + "\(isOne ? "its" : "their") rates are not exactly the best ones, but the regrets are "
            + "within the tolerance."
    }
}

/// Returns the verdicts on several rules in one sentence, with a clause for each rule: "linear
/// holds up to B = 64 (regret <= 0.01 at 95 %) and fails from B = 128; no scaling fails from B =
/// 16."
///
/// - Parameter batches: the number of batches with runs.
func verdictSentence(
    _ verdicts: [RuleVerdict], batches: Int, settings: AnalysisSettings
) -> String {
    let level = Format.significant(100 * settings.level, digits: 3)
    let bound = "(regret <= \(Format.significant(settings.tolerance, digits: 3)) at \(level) %)"
    guard !verdicts.isEmpty else {
        return settings.rules.isEmpty
            ? "no rules are given, so none is judged."
            : "no run of the base batch has ended, so no rule is judged."
    }
    guard verdicts.contains(where: \.isJudged) else {
        return batches == 1
            ? "only one batch has runs, but rules need at least two, so no rule is judged."
            : "no batch above the base batch has runs, so no rule is judged."
    }
    let holding = verdicts.filter { $0.reachBeyondBase != nil }
    let others = verdicts.filter { $0.reachBeyondBase == nil }
    let failing = others.filter(\.undecided.isEmpty)
    let undecided = others.filter { !$0.undecided.isEmpty }
    var clauses = holding.enumerated().map { index, verdict in
        clause(verdict, bound: index == 0 ? bound : nil)
    }
    if holding.isEmpty {
        let holdsNowhere = verdicts.allSatisfy(\.holdsBeyondGap.isEmpty)
        clauses.append(
            "no rule is shown to hold "
                + (holdsNowhere ? "beyond the base batch" : "from the base batch up") + " \(bound)")
    }
    clauses += (failing + undecided).filter { $0.failsFrom != nil || !$0.undecided.isEmpty }
        .map { clause($0, bound: nil) }
    return clauses.joined(separator: "; ") + "."
}

/// Returns a clause about one rule.
///
/// - Parameter bound: the regret up to which a rule holds, in parentheses; nil to leave it out.
private func clause(_ verdict: RuleVerdict, bound: String?) -> String {
    var predicates: [String] = []
    if let success = verdict.success(bound: bound) { predicates.append(success) }
    if let failure = verdict.failure { predicates.append(failure) }
    let open = verdict.allUndecided.map(\.batch)
    if !open.isEmpty {
        predicates.append("is undecided at B = \(Format.list(open.map(String.init)))")
    }
    predicates += verdict.predicatesBelowBase
    return "\(verdict.name) \(Format.list(predicates))"
}
