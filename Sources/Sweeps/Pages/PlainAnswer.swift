import Glibc
import Report
import Support
import Verdicts

/// The answer of a sweep in two sentences for readers who do not know the terms of the analysis.
package struct PlainAnswer: Sendable, Equatable {
    /// The verdicts on a rule.
    package struct Rule: Sendable {
        /// The name of the rule, such as "none", "sqrt", "linear" or a formula.
        package var name: String
        /// Whether the rule also changes other settings, so that its rate alone does not explain its
        /// verdict.
        package var isTrained: Bool
        /// The verdicts at the batches above the base batch that were judged, in ascending order of
        /// batch.
        package var verdicts: [(batch: Int, kind: Verdict.Kind)]
        /// The side of the best rate on which the rule's rate lies where the rule fails, or nil if
        /// it is unknown or not always the same.
        package var side: RateSide?
        /// The greatest estimated cost in nats, or nil if no cost is known; infinite if some rate
        /// diverges.
        package var cost: Double?
        /// Whether the cost is unknown at some batch, or may be greater there.
        package var isPartial: Bool
        /// The batches below the base batch at which the rule fails.
        package var failuresBelowBase: [Int]

        package init(
            _ name: String, isTrained: Bool = false,
            verdicts: [(batch: Int, kind: Verdict.Kind)], side: RateSide? = nil,
            cost: Double? = nil, isPartial: Bool = false, failuresBelowBase: [Int] = []
        ) {
            self.name = name
            self.isTrained = isTrained
            self.verdicts = verdicts
            self.side = side
            self.cost = cost
            self.isPartial = isPartial
            self.failuresBelowBase = failuresBelowBase
        }
    }

    /// The side of the best rate on which another rate lies.
    package enum RateSide: String, Sendable {
        case tooLow = "too low"
        case tooHigh = "too high"
    }

    /// Holds if some rule holds up to the largest batch, and fails if no rule holds at any batch
    /// and all of them fail at some batch.
    package let kind: Verdict.Kind
    /// The sentence that states the findings.
    package let finding: String
    /// The sentence that states the open questions, with a best guess.
    package let outlook: String

    /// Creates the answer from the verdicts on the rules.
    ///
    /// - Parameters:
    ///   - batches: the batches of the sweep, in ascending order.
    ///   - growth: the factor by which the best rate grows if the batch doubles, as text; nil if it
    ///     is unknown.
    ///   - fitted: the rule with a fitted constant that may be good if no rule is, with its greatest
    ///     estimated cost in nats; nil if there is none.
    package init(
        rules: [Rule], batches: [Int], baseBatch: Int, growth: String?,
        fitted: (subject: String, cost: Double)? = nil
    ) {
        let judged = rules.filter { !$0.verdicts.isEmpty }
        let trend =
            growth.map { "Each time the batch doubles, the best rate grows by a factor of \($0)." }
        guard !judged.isEmpty else {
            kind = .undecided
            finding = Self.reason(hasRules: !rules.isEmpty, batches, baseBatch)
            outlook = trend ?? "How the best rate changes with the batch is not known yet."
            return
        }
        let holds = judged.contains { $0.holds(upTo: batches.last) }
        let isRefuted = judged.allSatisfy { $0.reach == nil && !$0.failures.isEmpty }
        kind = holds ? .holds : isRefuted ? .fails : .undecided
        finding = Self.finding(judged, baseBatch)
        let open =
            Self.undecided(judged, holds: holds) ?? (holds ? trend : nil)
            ?? Self.closest(judged, holds: holds, fitted)
        outlook = ([open] + judged.compactMap(\.sentenceBelowBase)).joined(separator: " ")
    }

    /// Returns the reason why no rule is judged.
    private static func reason(hasRules: Bool, _ batches: [Int], _ baseBatch: Int) -> String {
        if batches.count < 2 {
            return "The runs have only one batch, so they do not show how the rate should change "
                + "with the batch."
        }
        if !batches.contains(baseBatch) {
            return
                "No run of batch \(baseBatch) has ended, and the rules start from its best rate, "
                + "so none is judged."
        }
        if !hasRules { return "No rule was named, so none is judged." }
        return
            "Batch \(baseBatch), from whose best rate the rules start, is the largest one, so none "
            + "is judged."
    }

    /// Returns a sentence about the rules that hold furthest and those that fail.
    private static func finding(_ rules: [Rule], _ baseBatch: Int) -> String {
        let reach = rules.compactMap(\.reach).max()
        let leaders = rules.filter { $0.reach != nil && $0.reach == reach }
        let lead =
            reach.map {
                "when the batch grows from \(baseBatch) to \($0), "
                    + "\(Format.list(leaders.map(\.rate))) "
                    + "\(leaders.count == 1 ? "is" : "are") still good"
            }
            ?? "no rule is shown to give a good rate "
            + (rules.contains { $0.verdicts.contains { $0.kind == .holds } }
                ? "from batch \(baseBatch) up" : "above batch \(baseBatch)")
        // A single leader is the subject of its own failure, too.
        let own = leaders.count == 1 ? leaders[0].failure.map { ", but it is \($0)" } ?? "" : ""
        let others = own.isEmpty ? rules : rules.filter { $0.name != leaders[0].name }
        let failures = others.compactMap { rule in rule.failure.map { "\(rule.rate) is \($0)" } }
        return Format.sentence(lead + own + (failures.isEmpty ? "" : "; \(Format.list(failures))"))
    }

    /// Returns a sentence about the rules that may hold, with a best guess unless a rule holds; nil
    /// if no rule may hold.
    private static func undecided(_ rules: [Rule], holds: Bool) -> String? {
        let open = rules.filter { $0.failures.isEmpty && $0.gap != nil }
        let best = holds ? nil : best(rules.filter(\.failures.isEmpty))
        guard let first = open.first else { return nil }
        var groups: [(place: String, rates: [String])] = []
        for rule in open {
            let place = rule.gap ?? ""
            if let index = groups.firstIndex(where: { $0.place == place }) {
                groups[index].rates.append(rule.rate)
            } else {
                groups.append((place, [rule.rate]))
            }
        }
        let clauses = groups.enumerated().map { index, group in
            let verb = group.rates.count == 1 ? "is" : "are"
            return Format.list(group.rates) + (index == 0 ? " \(verb) good " : " ") + group.place
        }
        let start = "it is undecided whether \(Format.list(clauses))"
        if holds { return Format.sentence(start) }
        guard let best else {
            return Format.sentence(
                "\(start); the runs do not show yet which rule is the best guess")
        }
        return Format.sentence(
            open.count == 1 && best.rule.name == first.name
                ? "\(start), but it is the best guess: \(best.reason)"
                : "\(start); the best guess is \(best.rule.subject): \(best.reason)")
    }

    /// Returns a sentence about the rule with the least cost, for rules of which one holds or all
    /// fail.
    private static func closest(
        _ rules: [Rule], holds: Bool, _ fitted: (subject: String, cost: Double)?
    ) -> String {
        let kind = rules.contains(where: \.isTrained) ? "rule that changes only the rate" : "rule"
        if !holds, let fitted {
            return Format.sentence(
                "no \(kind) is good at every batch, but \(fitted.subject) may be: "
                    + reason(cost: fitted.cost))
        }
        guard let best = best(rules) else {
            return "The runs do not show which rule comes closest."
        }
        if holds { return Format.sentence("\(best.rule.subject) costs least: \(best.reason)") }
        return Format.sentence(
            "no \(kind) is good at every batch; \(best.rule.subject) comes closest: \(best.reason)")
    }

    /// Returns the rule whose greatest estimated cost is least, with the reason as a clause. A rule
    /// whose costs are all known comes first.
    private static func best(_ rules: [Rule]) -> (rule: Rule, reason: String)? {
        let known = rules.filter { !$0.isTrained }.compactMap { rule in
            rule.cost.flatMap { $0.isFinite ? (rule: rule, cost: $0) : nil }
        }
        let whole = known.filter { !$0.rule.isPartial }
        return (whole.isEmpty ? known : whole).min { $0.cost < $1.cost }.map { best in
            (
                best.rule,
                best.rule.isPartial ? "its known costs are the lowest" : reason(cost: best.cost)
            )
        }
    }

    private static func reason(cost: Double) -> String {
        let cost = cost < 1e-4 ? "0.0001" : Format.significant(cost, digits: 2)
        return "its loss is estimated at no more than \(cost) above the best one"
    }
}

extension PlainAnswer.Rule {
    /// The rule's rate as the subject of a sentence.
    fileprivate var rate: String {
        CommonRule(rawValue: name)?.rateSubject
            ?? (isTrained ? subject : "the rate of \(subject)")
    }

    /// The rule as the subject of a sentence.
    fileprivate var subject: String { CommonRule(rawValue: name)?.subject ?? "the rule \(name)" }

    fileprivate func holds(upTo largest: Int?) -> Bool { reach != nil && reach == largest }

    /// The largest batch up to which the rule holds, or nil if it holds at no batch.
    fileprivate var reach: Int? { verdicts.prefix { $0.kind == .holds }.last?.batch }

    fileprivate var failures: [Int] { verdicts.filter { $0.kind == .fails }.map(\.batch) }

    /// A predicate such as "too high from batch 16"; nil if the rule fails nowhere.
    fileprivate var failure: String? {
        guard let first = failures.first else { return nil }
        let beyond = verdicts.drop { $0.batch < first }
        let isLast = beyond.allSatisfy { $0.kind == .fails } && beyond.count > 1
        let place = isLast ? "from batch \(first)" : place(failures)
        guard let side, !isTrained else { return "bad \(place)" }
        return "\(side.rawValue) \(place)"
    }

    /// A sentence about the batches below the base batch at which the rule fails; nil if there are
    /// none.
    fileprivate var sentenceBelowBase: String? {
        failuresBelowBase.isEmpty
            ? nil : "Below the base batch, \(rate) is bad \(place(failuresBelowBase))."
    }

    /// The undecided batches, such as "at batches 8 and 16"; nil if there are none.
    fileprivate var gap: String? {
        let batches = verdicts.filter { $0.kind == .undecided }.map(\.batch)
        return batches.isEmpty ? nil : place(batches)
    }

    /// Returns some of the judged batches with a preposition.
    private func place(_ batches: [Int]) -> String {
        let judged = verdicts.map(\.batch)
        guard let first = batches.first, let last = batches.last, batches.count > 1 else {
            return "at batch \(Format.list(batches.map(String.init)))"
        }
        let between = judged.filter { first <= $0 && $0 <= last }
        return batches.count > 2 && between == batches
            ? "from batch \(first) to \(last)"
            : "at batches \(Format.list(batches.map(String.init)))"
    }
}

extension Regret {
    /// Returns the side of the best rate on which the rule's rate lies, or nil if it is unknown.
    func side(of optimum: RateOptimum?) -> PlainAnswer.RateSide? {
        switch outcome {
        case .diverged, .belowDivergence, .outsideGrid(.above): return .tooHigh
        case .outsideGrid(.below): return .tooLow
        case .measured, .unavailable:
            guard let best = optimum?.best?.rate, let rate else { return nil }
            return rate > best ? .tooHigh : .tooLow
        }
    }
}

extension RateExponent {
    /// The factor by which the best rate changes if the batch or the number of parameters doubles,
    /// with its interval, as text; nil if the best rates follow no power law.
    var doublingFactor: String? {
        guard fits, let factor = exponent?.mapped({ exp2($0) }) else { return nil }
        let text = { (value: Double) in Format.fixed(value, decimals: 2) }
        return text(factor.value)
            + (factor.interval.map { " (\(text($0.lower)) to \(text($0.upper)))" } ?? "")
    }
}

/// Returns a finding after its context, such as "After 256 steps, no rule is good at every batch."
func sentence(_ finding: String, in context: String) -> String {
    context.prefix(1).uppercased() + context.dropFirst() + ", " + finding.prefix(1).lowercased()
        + finding.dropFirst()
}
