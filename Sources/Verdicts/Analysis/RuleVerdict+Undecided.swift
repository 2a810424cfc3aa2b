import Glibc

extension RuleVerdict {
    /// A batch at which the rule neither holds nor fails.
    package struct Undecided: Sendable, Equatable {
        package let batch: Int
        package let cause: UndecidedCause
        /// The runs that are needed before more seeds can decide, or nil if more seeds can decide.
        package let decidingRuns: DecidingRuns?

        /// The reason, such as "the rule's rate lies above the grid".
        package var reason: String { cause.reason(for: .batches) }
    }
}

extension RuleVerdict.Undecided {
    /// Explains why a batch is undecided.
    ///
    /// - Parameter base: the batch whose best rate the rule scales, or nil if the rule's rate does
    ///   not depend on it.
    init(_ regret: Regret, optimum: BatchOptimum?, base: BatchOptimum?) {
        batch = regret.batch
        let anchor = base.flatMap(\.decidingRuns)
        func covering(_ rates: [Double?]) -> DecidingRuns? {
            optimum.flatMap { optimum in
                let own = rates.compactMap(\.self).flatMap(optimum.grid.further(toCover:))
                return own.isEmpty ? nil : .rates(own, batch: regret.batch)
            }
        }
        let ruleRate = covering([regret.rate])
        switch regret.outcome {
        case _ where anchor != nil:
            cause = .unknownBaseRate
            decidingRuns = anchor
        case .measured where regret.isLowerBound:
            cause = .unknownBestRate
            decidingRuns = optimum?.decidingRuns ?? ruleRate
        case .measured(let estimate):
            let interval = estimate.interval
            cause =
                interval != nil
                ? .containsTolerance
                : Self.causeWithoutInterval(regret, optimum: optimum, base: base)
            let ends = [regret.rates?.lowerBound, regret.rates?.upperBound].compactMap(\.self)
            let outside =
                interval == nil && regret.seedCount >= 2
                ? ends.filter { !(optimum?.grid.contains($0) ?? true) } : []
            decidingRuns = covering(outside)
        case .diverged(let seeds):
            let divergence = Divergence(seeds, of: regret.seedCount)
            if seeds < 2 {
                cause = .diverged(divergence)
            } else if regret.lower == nil {
                cause = Self.causeWithoutInterval(regret, optimum: optimum, base: base)
            } else {
                cause = .divergedNearRatesThatTrain(divergence)
            }
            decidingRuns = optimum?.decidingRuns
        case .belowDivergence:
            let divergence = regret.rate.flatMap { optimum?.divergence(atOrAbove: $0) }
            cause = .belowDivergence(divergence ?? Divergence(1, of: regret.seedCount))
            decidingRuns = ruleRate
        case .outsideGrid(let side):
            cause = .outsideGrid(side)
            decidingRuns = ruleRate
        case .unavailable:
            cause = base != nil && regret.rate == nil ? .noRate : .noRun
            decidingRuns = optimum?.decidingRuns ?? .longer(batches: [batch])
        }
    }

    /// Returns the reason that a regret has no interval.
    private static func causeWithoutInterval(
        _ regret: Regret, optimum: BatchOptimum?, base: BatchOptimum?
    ) -> UndecidedCause {
        guard regret.seedCount >= 2 else { return .oneSeed }
        guard let rates = regret.rates, let optimum else {
            // A rule that was trained has an interval if two of its seeds have the grid's runs.
            guard let base else { return .oneSeed }
            return base.seeds.count < 2 ? .oneBaseSeed : .fewCommonRates
        }
        let ends = [rates.lowerBound, rates.upperBound]
        for end in ends.reversed() where optimum.divergesAround(end) {
            return optimum.divergence(atOrAbove: end).map { .reachesDivergence($0) }
                ?? .reachesBeyondGrid
        }
        return ends.allSatisfy(optimum.grid.contains) ? .fewCommonRates : .reachesBeyondGrid
    }
}

/// The number of seeds that diverged at a rate, and the number of seeds that trained at it.
package struct Divergence: Sendable, Equatable {
    package let diverged: Int
    package let seeds: Int

    init(_ diverged: Int, of seeds: Int) {
        (self.diverged, self.seeds) = (diverged, max(diverged, seeds))
    }
}

extension BatchOptimum {
    /// Returns whether a rate diverged for some seed, or lies next to one that did.
    fileprivate func divergesAround(_ rate: Double) -> Bool {
        switch typical.lookup(log(rate)) {
        case .diverged, .belowDivergence: true
        case .loss, .outsideGrid: false
        }
    }

    /// Returns how many seeds diverged at the lowest rate of at least `rate` that diverged for some
    /// seed; if there is none, at the highest rate that did. Returns nil if no rate diverged.
    fileprivate func divergence(atOrAbove rate: Double) -> Divergence? {
        let logRate = log(rate)
        let diverged = typical.entries.filter { !$0.loss.isFinite }
        let entry =
            diverged.first { $0.logRate >= logRate || isSameRate($0.logRate, logRate) }
            ?? diverged.last
        return entry.map { entry in
            let losses = seeds.compactMap { $0.losses.loss(at: entry.logRate) }
            return Divergence(losses.count { !$0.isFinite }, of: losses.count)
        }
    }
}
