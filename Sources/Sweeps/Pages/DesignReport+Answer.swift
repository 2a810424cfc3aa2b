import Report
import Support
import Verdicts

extension DesignReport {
    /// Returns the answer in two sentences.
    ///
    /// - Parameter count: the number of designs, each of which has an answer.
    func answer(among count: Int) -> Verdict {
        let answer = PlainAnswer(
            rules: analysis.verdicts.map(plain), batches: analysis.optima.map(\.batch),
            baseBatch: baseBatch, growth: analysis.exponent.doublingFactor,
            fitted: analysis.fittedGuess.map { ($0.rule.fittedSubject, $0.cost) })
        let mark =
            switch analysis.design {
            case .equalTokens(let tokens): Format.counted(tokens, "token")
            case .equalSteps(let steps): Format.counted(steps, "step")
            }
        let finding =
            count > 1 ? sentence(answer.finding, in: "after \(mark)") : answer.finding
        return Verdict(answer.kind, finding, text: answer.outlook)
    }

    private func plain(_ verdict: RuleVerdict) -> PlainAnswer.Rule {
        let judged = verdict.judgedRegrets.filter { $0.batch > baseBatch }
        let kinds = judged.compactMap { regret in
            kind(verdict, atBatch: regret.batch).map { (batch: regret.batch, kind: $0) }
        }
        let failing = kinds.filter { $0.kind == .fails }.map(\.batch)
        let sides = judged.filter { failing.contains($0.batch) }.map { regret in
            regret.side(of: analysis.optima.first { $0.batch == regret.batch }?.optimum)
        }
        // At the base batch, a rule that scales its best rate changes nothing.
        let costs = verdict.regrets.filter { $0.batch != baseBatch }.map(cost)
        let below = verdict.batchesBelowBase.filter { kind(verdict, atBatch: $0) == .fails }
        return PlainAnswer.Rule(
            verdict.basis == .trained ? "\(verdict.rule) (trained)" : verdict.rule,
            isTrained: verdict.basis == .trained, verdicts: kinds,
            side: Set(sides).count == 1 ? sides[0] : nil,
            cost: costs.compactMap(\.value).max(), isPartial: !costs.allSatisfy(\.isKnown),
            failuresBelowBase: below)
    }

    /// Returns the estimated cost at a batch, or the least one if it may be greater.
    private func cost(_ regret: Regret) -> (value: Double?, isKnown: Bool) {
        switch regret.outcome {
        case .measured where regret.isLowerBound: (regret.informativeLower, false)
        case .measured(let estimate): (estimate.value, true)
        case .diverged: (.infinity, true)
        case .belowDivergence, .outsideGrid: (regret.lower, false)
        case .unavailable: (nil, false)
        }
    }

    /// Returns the verdict on a rule at a batch, or nil if it was not judged there.
    private func kind(_ verdict: RuleVerdict, atBatch batch: Int) -> Verdict.Kind? {
        Verdict.Kind(rawValue: verdict.word(atBatch: batch))
    }

    /// The map of the verdicts, with the estimated regrets.
    var verdictMap: VerdictMap {
        let cells = analysis.verdicts.map { verdict in
            analysis.optima.map { optimum -> VerdictMap.Cell in
                if verdict.startsFrom(optimum.batch) { return .base }
                let regret = verdict.regrets.first { $0.batch == optimum.batch }
                guard let regret, let kind = kind(verdict, atBatch: optimum.batch) else {
                    return .init(nil)
                }
                return .init(kind, evidence: optimum.batch == baseBatch ? "" : evidence(regret))
            }
        }
        return VerdictMap(
            title: "Verdicts by \(analysis.design.name)",
            sentence: "Every rule starts from the best rate of batch \(baseBatch). It holds at a "
                + "batch if its rate costs at most \(Format.significant(tolerance, digits: 3)) nats "
                + "per token more than the best rate, and fails if it costs more, at "
                + "\(Format.significant(100 * level, digits: 3)) % confidence. Numbers are the "
                + "estimated costs.",
            columns: ("batch, sequences", analysis.optima.map { "\($0.batch)" }),
            rows: ("rule", analysis.verdicts.map(\.name)), cells: cells,
            evidence: "regret, nats per token")
    }

    private func evidence(_ regret: Regret) -> String {
        switch regret.outcome {
        case .measured(let estimate):
            return regret.isLowerBound ? bound(regret.lower ?? 0) : text(max(0, estimate.value))
        case .diverged: return "diverges"
        case .belowDivergence, .outsideGrid, .unavailable: return bound(regret.lower ?? 0)
        }
    }

    private func text(_ nats: Double) -> String {
        Format.fixed(nats, decimals: nats < 0.1 ? 3 : 2)
    }

    /// Returns a lower bound of a cost; empty if it would be rounded to 0, which says nothing.
    private func bound(_ least: Double) -> String {
        least >= 0.0005 && least.isFinite ? "≥ \(text(least))" : ""
    }
}
