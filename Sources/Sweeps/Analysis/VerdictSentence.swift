import Support

/// Several rules' verdicts in one sentence, such as "linear holds up to B = 64, sqrt up to 512
/// (regret <= 0.01 at 95 %); neither beyond".
func verdictSentence(_ verdicts: [RuleVerdict], settings: AnalysisSettings) -> String {
    let level = Format.significant(100 * settings.level, digits: 3)
    let bound = "(regret <= \(Format.significant(settings.tolerance, digits: 3)) at \(level) %)"
    guard !verdicts.isEmpty else {
        return settings.rules.isEmpty
            ? "no rule was asked for, so none is judged."
            : "no run of the base batch has ended, so no rule is judged."
    }
    var parts: [String] = []
    let holding = verdicts.compactMap { verdict in
        verdict.reachBeyondBase.map { (name: verdict.name, batch: $0) }
    }
    let clauses = holding.enumerated().map { index, rule in
        "\(rule.name) \(index == 0 ? "holds up to B =" : "up to") \(rule.batch)"
    }
    parts.append(
        clauses.isEmpty
            ? "no rule is shown to hold beyond the base batch \(bound)"
            : clauses.joined(separator: ", ") + " \(bound)")
    let failing = verdicts.filter { if case .fails = $0.conclusion { true } else { false } }
    let ending = failing.filter { $0.reachBeyondBase != nil }
    if !holding.isEmpty, ending.count == holding.count,
        ending.allSatisfy(\.holdsBeyondFailure.isEmpty)
    {
        parts.append(
            ending.count == 1 ? "not beyond" : ending.count == 2 ? "neither beyond" : "none beyond")
    } else {
        parts += ending.compactMap { verdict in
            verdict.failure.map { "\(verdict.name) \($0)" }
        }
    }
    parts += failing.filter { $0.reachBeyondBase == nil }.compactMap { verdict in
        verdict.failure.map { "\(verdict.name) \($0)" }
    }
    parts += verdicts.compactMap { verdict in
        verdict.undecided.first.map { gap in
            let failure = verdict.failure.map { " and \($0)" } ?? ""
            return "\(verdict.name) is undecided at B = \(gap.batch)" + failure
        }
    }
    return parts.joined(separator: "; ") + "."
}
