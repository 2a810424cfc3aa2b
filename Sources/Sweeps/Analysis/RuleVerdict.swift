import Glibc
import Statistics
import Support

/// Up to which batch a rule holds, by one design.
package struct RuleVerdict: Sendable, Equatable {
    /// A batch at which the rule neither holds nor fails.
    package struct Undecided: Sendable, Equatable {
        package let batch: Int
        /// Such as "the rule's rate lies above the grid".
        package let reason: String
        package let decidingRuns: DecidingRuns
    }

    package enum Conclusion: Sendable, Equatable {
        /// At every batch from the base up to this one, the largest that was trained.
        case holds(upTo: Int)
        /// It holds up to some batch, or none, and fails at the next one.
        case fails(from: Int)
        /// Between the batches where it holds and those where it fails, some are undecided.
        case inconclusive
    }

    package let rule: String
    /// Whether the rule's own runs were judged, not its rates on the grid.
    package let isTrained: Bool
    /// One for each batch, rising; of a trained rule, up to the largest that it was trained at.
    package let regrets: [Regret]
    /// The largest batch such that the regret's interval lies within the tolerance there and at
    /// every smaller batch from the base up.
    package let holdsUpTo: Int?
    /// The smallest batch from the base up where the regret's interval lies above the tolerance.
    package var failsFrom: Int? { failures.first }
    /// From the base up to where it fails.
    package let undecided: [Undecided]
    package let conclusion: Conclusion
    /// The batches beyond `failsFrom` at which it holds nevertheless.
    package let holdsBeyondFailure: [Int]
    /// All batches at which it fails.
    private let failures: [Int]
    private let baseBatch: Int
    private let isJudged: Bool
    /// Whether the rule was judged up to the largest batch of all.
    private let isEndOfGrid: Bool

    init(
        rule: String, isTrained: Bool, regrets: [Regret], optima: [BatchOptimum], baseBatch: Int,
        settings: AnalysisSettings
    ) {
        self.rule = rule
        self.isTrained = isTrained
        self.regrets = regrets
        self.baseBatch = baseBatch
        // At the base batch a rule changes nothing: what was trained shows its runs' noise.
        let judged = regrets.filter { isTrained ? $0.batch > baseBatch : $0.batch >= baseBatch }
        isJudged = !judged.isEmpty
        let base = optima.first { $0.batch == baseBatch }
        let judgements = judged.map { regret in
            // There a rule looked up is the base's own best rate, however uncertain that is.
            regret.batch == baseBatch && base?.optimum.best?.interval != nil
                ? .holds : Judgement(regret, tolerance: settings.tolerance)
        }
        let failure = judgements.firstIndex(of: .fails)
        holdsUpTo = zip(judged, judgements).prefix { $0.1 == .holds }.last?.0.batch
        holdsBeyondFailure = zip(judged, judgements).dropFirst(failure ?? judged.count)
            .filter { $0.1 == .holds }.map(\.0.batch)
        failures = zip(judged, judgements).filter { $0.1 == .fails }.map(\.0.batch)
        undecided = zip(judged, judgements).prefix(failure ?? judged.count)
            .filter { $0.1 == .undecided }
            .map { regret, _ in
                Undecided(
                    regret, optimum: optima.first { $0.batch == regret.batch },
                    base: isTrained ? nil : base, settings: settings)
            }
        if let last = judged.last, undecided.isEmpty {
            conclusion = failures.first.map { .fails(from: $0) } ?? .holds(upTo: last.batch)
        } else {
            conclusion = .inconclusive
        }
        isEndOfGrid = judged.last?.batch == optima.last?.batch
    }

    /// The rule in words; trained rules are told from those looked up on the grid.
    package var name: String {
        let name = rule == ScalingRule.none.name ? "no scaling" : rule
        return isTrained ? "\(name) (trained)" : name
    }

    /// `holdsUpTo`, unless that is the base batch, where a rule changes nothing.
    package var reachBeyondBase: Int? { holdsUpTo.flatMap { $0 > baseBatch ? $0 : nil } }

    /// Such as "fails from B = 16"; nil where it does not.
    var failure: String? {
        failsFrom.map { batch in
            holdsBeyondFailure.isEmpty
                ? "fails from B = \(batch)"
                : "fails at B = \(Format.list(failures.map(String.init))), though not at "
                    + Format.list(holdsBeyondFailure.map(String.init))
        }
    }

    /// In one sentence.
    package var sentence: String {
        guard isJudged else {
            return "\(name) was trained at no batch above the base, and is not judged."
        }
        let reach =
            switch holdsUpTo {
            case nil: "\(name) holds at no batch\(isTrained ? " above the base" : "")"
            case baseBatch
            where undecided.isEmpty && failsFrom != nil && holdsBeyondFailure.isEmpty:
                "\(name) holds at the base batch only"
            case let batch?: "\(name) holds up to B = \(batch)"
            }
        guard undecided.isEmpty else {
            let failure = failure.map { ", and it \($0)" } ?? ""
            let start = reachBeyondBase == nil ? "\(name) is inconclusive" : reach
            return start + ": " + gaps.joined(separator: "; ") + failure + "."
        }
        if holdsUpTo == nil, !holdsBeyondFailure.isEmpty, let failure {
            return "\(name) \(failure)."
        }
        return reach
            + (failure.map { " and \($0)." }
                ?? (isEndOfGrid
                    ? ", the largest trained." : ", the largest at which it was trained."))
    }
}

extension RuleVerdict {
    /// What is open at which batches, those alike together.
    private var gaps: [String] {
        var groups: [(gap: Undecided, batches: [Int])] = []
        for gap in undecided {
            let place = groups.firstIndex {
                $0.gap.reason == gap.reason && $0.gap.decidingRuns == gap.decidingRuns
            }
            if let place {
                groups[place].batches.append(gap.batch)
            } else {
                groups.append((gap, [gap.batch]))
            }
        }
        return groups.map { gap, batches in
            "B = \(Format.list(batches.map(String.init))) \(batches.count == 1 ? "is" : "are") undecided "
                + "(\(gap.reason); to decide, run \(gap.decidingRuns.phrase))"
        }
    }
}

private enum Judgement {
    case holds
    case fails
    case undecided

    /// - Parameter tolerance: in nats.
    init(_ regret: Regret, tolerance: Double) {
        switch regret.outcome {
        case .measured(let estimate, _):
            guard let interval = estimate.interval else {
                self = .undecided
                return
            }
            self =
                interval.lower > tolerance
                ? .fails
                : interval.upper <= tolerance && !regret.isLowerBound && !regret.isBaseTooUncertain
                    ? .holds : .undecided
        // The mean of an infinite regret is infinite, but one seed alone decides nothing.
        case .diverged(let seeds): self = seeds >= 2 ? .fails : .undecided
        case .belowDivergence, .outsideGrid, .unavailable: self = .undecided
        }
    }
}

extension RuleVerdict.Undecided {
    /// - Parameter base: the batch whose rate the rule scales; nil for a rule that was trained.
    fileprivate init(
        _ regret: Regret, optimum: BatchOptimum?, base: BatchOptimum?, settings: AnalysisSettings
    ) {
        batch = regret.batch
        let anchor = base.flatMap(\.decidingRuns)
        // A rule's regret needs a seed at the batch and, for its rate, at the base.
        let batches = Set([regret.batch, base?.batch ?? regret.batch]).sorted()
        switch regret.outcome {
        case .measured(let estimate, let deviation) where anchor == nil:
            (reason, decidingRuns) = Self.measured(
                estimate, deviation, regret, optimum: optimum, base: base, batches: batches,
                settings: settings)
        case .diverged where anchor == nil:
            reason = "one seed alone diverged"
            decidingRuns = .seeds(fewestUsefulSeeds - 1, batches: batches)
        case .belowDivergence where anchor == nil:
            reason = "the rule's rate lies between the best rates and one that diverges"
            decidingRuns = .rates(regret.rate.map { [$0] } ?? [], batch: batch)
        case .outsideGrid(let side) where anchor == nil:
            reason = "the rule's rate lies \(side.rawValue) the grid"
            decidingRuns = .rates(regret.rate.map { [$0] } ?? [], batch: batch)
        default:
            reason =
                anchor == nil
                ? "no run reached the mark" : "the base batch has no best rate to scale"
            decidingRuns = anchor ?? optimum?.decidingRuns ?? .longer(batch: batch)
        }
    }

    /// Why an estimated regret decides nothing.
    private static func measured(
        _ estimate: Estimate, _ deviation: Double?, _ regret: Regret, optimum: BatchOptimum?,
        base: BatchOptimum?, batches: [Int], settings: AnalysisSettings
    ) -> (String, DecidingRuns) {
        guard let interval = estimate.interval, let deviation else {
            return ("one seed has no interval", .seeds(fewestUsefulSeeds - 1, batches: batches))
        }
        if regret.isLowerBound, estimate.value <= settings.tolerance,
            let runs = optimum?.decidingRuns
        {
            return ("the batch's best loss is not known well enough", runs)
        }
        if let base, let best = base.optimum.best, let ofSeeds = regret.intervalOfSeeds,
            ofSeeds.upper <= settings.tolerance || ofSeeds.lower > settings.tolerance
        {
            let factor = Format.significant(exp(best.commonError), digits: 3)
            return (
                "the base batch's best rate may be off by a factor of \(factor), whatever the seeds",
                .rates(
                    best.resolution > 0 ? base.grid.further(to: .above) : base.grid.between,
                    batch: base.batch)
            )
        }
        let needed = seedsNeeded(
            standardDeviation: deviation, halfWidth: abs(settings.tolerance - estimate.value),
            level: settings.level)
        let reason =
            "the regret's interval, \(Format.significant(interval.lower, digits: 2)) to "
            + "\(Format.significant(interval.upper, digits: 2)), holds the tolerance"
        guard let needed else { return (reason, .tooClose) }
        return (reason, .seeds(max(1, needed - regret.seedCount), batches: batches))
    }
}
