import Statistics
import Support

/// The batches at which a rule holds, fails or is undecided, by one design.
package struct RuleVerdict: Sendable, Equatable {
    /// The verdict on a rule over all batches.
    package enum Conclusion: Sendable, Equatable {
        /// The rule holds at every batch from the base up to this one, the largest that was
        /// trained.
        case holds(upTo: Int)
        /// The rule fails at this batch, and holds at every smaller batch from the base up.
        case fails(from: Int)
        /// Some batch is undecided below the first one at which the rule fails, if it fails.
        case inconclusive
    }

    /// The rates by which a rule is judged.
    package enum Basis: Sendable, Equatable {
        /// The rates that the rule derives from the base batch's best rate.
        case baseRate
        /// The rule's rates with a constant that is fitted to the best rates of all batches.
        case fittedConstant
        /// The rates of the rule's own runs.
        case trained
    }

    package let rule: String
    package let basis: Basis
    /// Whether the rule's own runs were judged.
    package var isTrained: Bool { basis == .trained }
    /// The regrets, sorted by batch. Those of a trained rule end at the largest batch at which it
    /// was trained.
    package let regrets: [Regret]
    /// The regrets that decide the verdict: those from the base batch up, or all of them if the
    /// rule's constant is fitted to all batches.
    package let judgedRegrets: [Regret]
    /// The batches below the base batch at which the rule was judged. They do not affect the
    /// conclusion.
    package let batchesBelowBase: [Int]
    /// The largest batch such that the regret's interval lies within the tolerance there and at
    /// every smaller batch from the base up, or nil if there is none.
    package let holdsUpTo: Int?
    /// The smallest batch from the base up at which the regret's interval lies above the tolerance,
    /// or nil if there is none.
    package var failsFrom: Int? { failures.first }
    /// The undecided batches from the base up to `failsFrom`.
    package let undecided: [Undecided]
    package let conclusion: Conclusion
    /// Whether the rule holds up to the largest batch that was judged, or fails at some batch.
    package let isSettled: Bool
    /// The gaps that more runs would close to settle the rule: the one with the greatest regret if
    /// the rule seems to fail, and otherwise all of them.
    package let decidingGaps: [Undecided]
    /// The batches beyond `failsFrom` at which the rule holds.
    package let holdsBeyondFailure: [Int]
    /// The batches between an undecided one and `failsFrom` at which the rule holds.
    package let holdsBeyondGap: [Int]
    /// The undecided batches beyond `failsFrom`.
    package let undecidedBeyondFailure: [Undecided]
    /// The batches at which the rule fails.
    private let failures: [Int]
    let baseBatch: Int
    let isJudged: Bool
    /// The judgment at each batch that was judged.
    private let judgments: [Int: Judgment]
    /// Whether the rule was judged up to the largest batch of the sweep.
    private let isEndOfGrid: Bool

    init(
        rule: String, basis: Basis, regrets: [Regret], optima: [BatchOptimum], baseBatch: Int,
        settings: AnalysisSettings
    ) {
        self.rule = rule
        self.basis = basis
        self.regrets = regrets
        self.baseBatch = baseBatch
        // At the base batch a rule changes nothing, so a trained rule's runs show only noise there.
        let judged = regrets.filter {
            switch basis {
            case .baseRate: $0.batch >= baseBatch
            case .fittedConstant: true
            case .trained: $0.batch > baseBatch
            }
        }
        judgedRegrets = judged
        let below = basis == .baseRate ? regrets.filter { $0.batch < baseBatch } : []
        batchesBelowBase = below.map(\.batch)
        isJudged = judged.contains { $0.batch > baseBatch }
        let base = optima.first { $0.batch == baseBatch }
        let judgments = judged.map { regret in
            // A rule that was looked up has the base's best rate there, however uncertain that is.
            regret.batch == baseBatch && basis == .baseRate && base?.optimum.best?.error != nil
                ? .holds : Judgment(regret, tolerance: settings.tolerance)
        }
        self.judgments = Dictionary(
            zip(
                (judged + below).map(\.batch),
                judgments + below.map { Judgment($0, tolerance: settings.tolerance) }),
            uniquingKeysWith: { first, _ in first })
        let failure = judgments.firstIndex(of: .fails)
        holdsUpTo = zip(judged, judgments).prefix { $0.1 == .holds }.last?.0.batch
        holdsBeyondFailure = zip(judged, judgments).dropFirst(failure ?? judged.count)
            .filter { $0.1 == .holds }.map(\.0.batch)
        let firstGap = judgments.firstIndex(of: .undecided) ?? judged.count
        holdsBeyondGap = zip(judged, judgments).prefix(failure ?? judged.count)
            .dropFirst(firstGap).filter { $0.1 == .holds }.map(\.0.batch)
        failures = zip(judged, judgments).filter { $0.1 == .fails }.map(\.0.batch)
        let open = zip(judged, judgments).filter { $0.1 == .undecided }.map { regret, _ in
            Undecided(
                regret, optimum: optima.first { $0.batch == regret.batch },
                base: basis == .baseRate ? base : nil)
        }
        let end = failures.first ?? .max
        undecided = open.filter { $0.batch < end }
        undecidedBeyondFailure = open.filter { $0.batch > end }
        if let last = judged.last, undecided.isEmpty {
            conclusion = failures.first.map { .fails(from: $0) } ?? .holds(upTo: last.batch)
        } else {
            conclusion = .inconclusive
        }
        isEndOfGrid = judged.last?.batch == optima.last?.batch
        isSettled = failure != nil || isJudged && undecided.isEmpty
        decidingGaps =
            isSettled ? [] : Self.decidingGaps(undecided, judged, tolerance: settings.tolerance)
    }

    private static func decidingGaps(
        _ undecided: [Undecided], _ regrets: [Regret], tolerance: Double
    ) -> [Undecided] {
        let worst = regrets.max { $0.bestEstimate < $1.bestEstimate }
        guard let worst, worst.bestEstimate > tolerance,
            let gap = undecided.first(where: { $0.batch == worst.batch })
        else { return undecided }
        return [gap]
    }

    /// The rule in words, with its basis unless that is the base batch's best rate.
    package var name: String {
        let name = CommonRule(rawValue: rule)?.title ?? rule
        switch basis {
        case .baseRate: return name
        case .fittedConstant: return "\(name) (constant fitted)"
        case .trained: return "\(name) (trained)"
        }
    }

    /// The rule with a fitted constant as the subject of a clause.
    package var fittedSubject: String {
        let own = CommonRule(rawValue: rule)
        return own == .unchanged
            ? "a single rate that is fitted to all batches"
            : "\(own?.subject ?? "the rule \(rule)") with a constant that is fitted to all batches"
    }

    /// `holdsUpTo`, or nil if that is the base batch, where a rule changes nothing, or the smallest
    /// batch if the rule's constant is fitted to all batches.
    package var reachBeyondBase: Int? {
        let first = basis == .fittedConstant ? judgedRegrets.first?.batch : nil
        return holdsUpTo.flatMap { $0 > first ?? baseBatch ? $0 : nil }
    }

    /// Returns words such as "up to B = 32", or "from B = 8 up to B = 32" if there are batches
    /// below the base batch.
    func reach(_ batch: Int) -> String {
        (batchesBelowBase.isEmpty ? "" : "from B = \(baseBatch) ") + "up to B = \(batch)"
    }

    /// The predicates about the batches below the base batch at which the rule does not hold.
    var predicatesBelowBase: [String] {
        [(Judgment.fails, "fails"), (Judgment.undecided, "is undecided")].compactMap {
            judgment, verb in
            let own = batchesBelowBase.filter { judgments[$0] == judgment }
            return own.isEmpty
                ? nil
                : "\(verb) at B = \(Format.list(own.map(String.init))) (below the base batch)"
        }
    }

    /// A predicate such as "holds up to B = 4 and at B = 16", or nil if the rule is tested and holds
    /// at no batch before the first failure.
    ///
    /// - Parameter bound: the regret up to which a rule holds, in parentheses; nil to leave it out.
    func success(bound: String? = nil) -> String? {
        // The smallest batch is tested only if the constant is fitted to all batches.
        let smallest =
            basis == .fittedConstant && reachBeyondBase == nil ? holdsUpTo.map { [$0] } ?? [] : []
        let single = smallest + holdsBeyondGap
        let others = single.isEmpty ? nil : "at B = \(Format.list(single.map(String.init)))"
        let reach = reachBeyondBase.map { self.reach($0) + (bound.map { " \($0)" } ?? "") }
        let parts = [reach, others].compactMap(\.self)
        return parts.isEmpty ? nil : "holds \(Format.list(parts))"
    }

    /// A predicate such as "fails from B = 16", or nil if the rule does not fail.
    var failure: String? {
        guard let failsFrom else { return nil }
        let isLast = holdsBeyondFailure.isEmpty && undecidedBeyondFailure.isEmpty
        let reach =
            isLast
            ? "from B = \(failsFrom)" : "at B = \(Format.list(failures.map(String.init)))"
        let others = Format.list(holdsBeyondFailure.map(String.init))
        return "fails \(reach)" + (others.isEmpty ? "" : " but holds at B = \(others)")
    }

    /// Returns the verdict at a batch in a word, or "-" if there is none.
    package func word(atBatch batch: Int) -> String { judgments[batch]?.rawValue ?? "-" }

    /// Returns whether a batch is the base batch, where a rule changes nothing, so that nothing is
    /// tested. Without a best rate there, the verdict is undecided.
    package func startsFrom(_ batch: Int) -> Bool {
        let judgment = judgments[batch]
        return batch == baseBatch && basis != .fittedConstant
            && (judgment == nil || judgment == .holds)
    }

    /// The verdict in one sentence.
    package var sentence: String {
        guard isJudged else {
            return "\(name) has no run above the base batch, so it is not judged."
        }
        guard failsFrom != nil || !undecided.isEmpty else {
            let below = predicatesBelowBase
            return "\(name) holds \(reach(holdsUpTo ?? baseBatch)), the largest batch "
                + (isEndOfGrid ? "that was trained" : "at which it was trained")
                + (below.isEmpty ? "." : ", but \(Format.list(below)).")
        }
        var predicates: [String] = []
        if let success = success() { predicates.append(success) }
        if let failure { predicates.append(failure) }
        if !gaps.isEmpty { predicates.append("is undecided \(Format.list(gaps))") }
        predicates += predicatesBelowBase
        return "\(name) \(Format.list(predicates))."
    }
}

extension RuleVerdict {
    /// All undecided batches in ascending order.
    package var allUndecided: [Undecided] { undecided + undecidedBeyondFailure }

    /// The undecided batches with their reasons, grouped by reason.
    private var gaps: [String] {
        groupedGaps(\.reason).map { reason, batches in
            "at B = \(Format.list(batches.map(String.init))) (\(reason))"
        }
    }

    /// Returns the undecided batches by reason, in the order of the first batch of each.
    func groupedGaps(_ reason: (Undecided) -> String) -> [(reason: String, batches: [Int])] {
        var groups: [(reason: String, batches: [Int])] = []
        for gap in allUndecided {
            let reason = reason(gap)
            if let place = groups.firstIndex(where: { $0.reason == reason }) {
                groups[place].batches.append(gap.batch)
            } else {
                groups.append((reason, [gap.batch]))
            }
        }
        return groups
    }
}

extension Regret {
    /// The estimate, or the lower bound if there is none; infinite if the rule's rate diverges.
    fileprivate var bestEstimate: Double {
        switch outcome {
        case .measured(let estimate): estimate.value
        case .diverged: .infinity
        case .belowDivergence, .outsideGrid, .unavailable: lower ?? 0
        }
    }
}

private enum Judgment: String {
    case holds
    case fails
    case undecided

    /// Judges a regret.
    ///
    /// - Parameter tolerance: the regret up to which a rule holds, in nats.
    init(_ regret: Regret, tolerance: Double) {
        if let lower = regret.lower, lower > tolerance {
            self = .fails
        } else if let upper = regret.upper, upper <= tolerance, !regret.isLowerBound {
            self = .holds
        } else {
            self = .undecided
        }
    }
}
