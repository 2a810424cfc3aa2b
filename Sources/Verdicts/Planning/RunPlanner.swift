import Glibc
import Statistics

/// A planner that chooses the runs of a sweep in rounds, so that it trains only runs that help to
/// settle a rule.
///
/// A sweep proceeds in rounds. First, one seed finds the best rate of every batch
/// (`BestRateSearch`). Then every batch gets more seeds, each with three rates: near the best rate
/// and on both sides of it. Finally, rates or seeds are added where a rule is still undecided:
/// rates that a verdict lacks, rates between the three where the valley's form is the greatest
/// error, otherwise seeds, one at a time. Once more seeds are not expected to help, every seed gets
/// the rates between the three.
///
/// A round is a function of the finished runs, so a sweep is the same on any layout.
package struct RunPlanner: Sendable {
    /// The next round of a sweep.
    package enum Round: Sendable, Equatable {
        /// Runs that no finished run answers, in the order of their training.
        case runs([PlannedRun])
        /// Every rule holds up to the largest batch, or fails at some batch.
        case decided
        /// No further run is expected to change a verdict.
        case exhausted
    }

    /// The batches in ascending order.
    private let batches: [Int]
    private let baseBatch: Int
    /// The seeds in the order of their use. Numbers above the largest one follow.
    private let seeds: [UInt64]
    /// The comparison that the next round is for.
    private var design: Design
    private var settings: AnalysisSettings
    private let search: BestRateSearch

    /// The number of seeds that every batch gets before seeds are added one at a time.
    private static let firstSeeds = fewestUsefulSeeds
    /// The number of seeds from which a simulation tells whether as many more would help.
    private static let manySeeds = 8
    /// The least probability of a decision that is worth more seeds.
    private static let leastShare = 0.1
    /// The number of seeds from which more are not expected to show a best rate.
    private static let mostSeedsWithoutBest = 16
    /// The largest number of seeds at a batch.
    private static let mostSeeds = 64
    /// The number of undecided batches from which the base batch gets two seeds in a round, because
    /// every batch is compared with it.
    private static let manyBatches = 3

    /// Creates a planner.
    ///
    /// - Parameters:
    ///   - startRates: at least three rates for each batch, in ascending order, with about the same
    ///     ratio of neighbors.
    ///   - seeds: at least one seed.
    ///   - settings: the settings of the analysis. Its designs are settled in turn, with runs that
    ///     all of them share.
    package init(
        startRates: [Int: [Double]], baseBatch: Int, seeds: [UInt64], settings: AnalysisSettings
    ) {
        precondition(
            startRates.values.allSatisfy { $0.count >= 3 } && !seeds.isEmpty
                && !settings.designs.isEmpty, "a plan needs rates, seeds and a design")
        batches = startRates.keys.sorted()
        self.baseBatch = baseBatch
        self.seeds = seeds
        design = settings.designs[0]
        self.settings = settings
        self.settings.seedsShareRates = false
        let rates = startRates[baseBatch] ?? startRates[batches[0]] ?? []
        search = BestRateSearch(
            startRates: startRates,
            step: log(rates[rates.count - 1] / rates[0]) / Double(rates.count - 1),
            seed: seeds[0], tolerance: settings.tolerance)
    }

    /// Returns the next round.
    ///
    /// - Parameter points: the finished runs of the grid.
    package func next(after points: [TrainedPoint]) -> Round {
        var isDecided = true
        var planner = self
        for design in settings.designs {
            planner.design = design
            switch planner.nextOfDesign(after: points) {
            case .runs(let runs): return .runs(runs)
            case .exhausted: isDecided = false
            case .decided: break
            }
        }
        return isDecided ? .decided : .exhausted
    }

    private func nextOfDesign(after points: [TrainedPoint]) -> Round {
        let finished = points.filter { $0.rule == TrainedPoint.grid }
        let losses = batches.map { batch in
            BatchLosses(
                batch: batch, points: finished.filter { $0.batch == batch }, design: design)
        }
        if let round = round(search.runs(after: losses), after: finished) { return round }
        let state = State(losses, self)
        if let round = round(firstSeeds(state), after: finished) { return round }
        let open = DesignAnalysis.lookedUp(
            state.optima, state.valley, baseBatch: baseBatch, settings: settings
        ).filter { !$0.isSettled }
        guard !open.isEmpty else { return .decided }
        let gaps = open.flatMap(\.decidingGaps)
        guard !gaps.isEmpty else { return .exhausted }
        if let round = round(rates(closing: gaps, state), after: finished) { return round }
        if let round = round(completeSeeds(gaps, state), after: finished) { return round }
        let places = Set(gaps.map(\.batch) + [baseBatch])
        let first = ratesBetween(places, state, seeds: Self.firstSeeds)
        if let round = round(first, after: finished) { return round }
        guard seedsMayDecide(Set(gaps.map(\.batch)), state, rules: open.map(\.rule)) else {
            let all = ratesBetween(places, state, seeds: Self.mostSeeds)
            return round(all, after: finished) ?? .exhausted
        }
        return round(moreSeeds(Set(gaps.map(\.batch)), state), after: finished) ?? .exhausted
    }

    /// Returns a round of the unfinished ones of these runs, sorted by seed; nil if there are none.
    private func round(_ runs: [PlannedRun], after finished: [TrainedPoint]) -> Round? {
        var known = finished.map {
            PlannedRun(batch: $0.batch, learningRate: $0.learningRate, seed: $0.seed)
        }
        var new: [PlannedRun] = []
        for run in runs where !known.contains(where: run.isSame(as:)) {
            known.append(run)
            new.append(run)
        }
        let sorted = new.enumerated().sorted {
            ($0.element.seed, $0.offset) < ($1.element.seed, $1.offset)
        }
        return new.isEmpty ? nil : .runs(sorted.map(\.element))
    }

    /// The results of the finished runs.
    private struct State {
        let optima: [BatchOptimum]
        let valley: SharedValley?
        /// The rates for the seeds of each batch.
        let rates: [Int: SeedRates]

        init(_ losses: [BatchLosses], _ planner: RunPlanner) {
            let (optima, valley) = BatchOptimum.all(losses, settings: planner.settings)
            (self.optima, self.valley) = (optima, valley)
            rates = Dictionary(
                uniqueKeysWithValues: optima.map { optimum in
                    let rates = SeedRates(
                        optimum, valley, step: planner.search.step,
                        tolerance: planner.settings.tolerance)
                    return (optimum.batch, rates)
                })
        }

        /// Returns the seeds of a batch.
        func seeds(_ batch: Int) -> [UInt64] {
            optima.first { $0.batch == batch }?.seeds.map(\.seed) ?? []
        }
    }

    // MARK: - Seeds

    private func firstSeeds(_ state: State) -> [PlannedRun] {
        state.optima.flatMap { optimum in
            seedRuns(optimum.batch, count: max(0, Self.firstSeeds - optimum.seeds.count), state)
        }
    }

    /// Returns the runs of more seeds at the undecided batches and at the base batch.
    private func moreSeeds(_ places: Set<Int>, _ state: State) -> [PlannedRun] {
        state.optima.flatMap { optimum -> [PlannedRun] in
            let isBase = optimum.batch == baseBatch
            guard isBase || places.contains(optimum.batch) else { return [] }
            let count = isBase && places.count >= Self.manyBatches ? 2 : 1
            return seedRuns(
                optimum.batch, count: min(count, max(0, Self.mostSeeds - optimum.seeds.count)),
                state)
        }
    }

    private func seedRuns(_ batch: Int, count: Int, _ state: State) -> [PlannedRun] {
        let isFormUnknown = state.valley?.isFormUnknown(at: batch) ?? false
        return order(after: state.seeds(batch), count: count).flatMap { seed in
            let rates = state.rates[batch]
            return ((rates?.usual ?? []) + (isFormUnknown ? rates?.between ?? [] : [])).map {
                PlannedRun(batch: batch, learningRate: $0, seed: seed)
            }
        }
    }

    /// Returns the next seeds after those that a batch has.
    private func order(after used: [UInt64], count: Int) -> [UInt64] {
        let largest = seeds.max() ?? 0
        let further = (0..<UInt64(Self.mostSeeds)).lazy.map { largest + 1 + $0 }
        return Array((seeds + further).filter { !used.contains($0) }.prefix(count))
    }

    /// Returns whether more seeds may settle one of some rules. Once there are many seeds, the
    /// error that they have in common may be all that is left.
    private func seedsMayDecide(_ places: Set<Int>, _ state: State, rules: [String]) -> Bool {
        let optima = state.optima
        let fewest = optima.filter { places.contains($0.batch) }.map(\.seeds.count).min() ?? 0
        guard fewest >= Self.manySeeds else { return true }
        let isHidden = optima.contains { places.contains($0.batch) && $0.optimum.best == nil }
        if isHidden, fewest < Self.mostSeedsWithoutBest { return true }
        guard let valley = state.valley,
            let simulation = SeedSimulation(
                places.union([baseBatch]).sorted(), optima, valley, baseBatch: baseBatch,
                settings: settings)
        else { return false }
        let shares = simulation.probabilities(ofDecisionWith: Self.manySeeds)
        return rules.contains { shares[$0] ?? 0 >= Self.leastShare }
    }

    // MARK: - Rates

    /// Returns the rates that undecided verdicts lack, for the first seeds.
    private func rates(closing gaps: [RuleVerdict.Undecided], _ state: State) -> [PlannedRun] {
        gaps.flatMap { gap -> [PlannedRun] in
            guard case .rates(let rates, let batch)? = gap.decidingRuns else { return [] }
            return runs(batch, search.limited(rates.map { log($0) }, batch), state)
        }
    }

    /// Returns the missing runs of some seeds at the batches that have many seeds but no best rate.
    ///
    /// Noise hides a valley if few seeds have runs on its sides.
    private func completeSeeds(
        _ gaps: [RuleVerdict.Undecided], _ state: State
    ) -> [PlannedRun] {
        let places = Set(gaps.map(\.batch) + [baseBatch])
        return state.optima.filter { optimum in
            places.contains(optimum.batch) && optimum.optimum.best == nil
                && optimum.seeds.count >= Self.manySeeds
        }.flatMap { runs($0.batch, $0.usefulRates, state, seeds: Self.mostSeeds) }
    }

    /// Returns the runs at the rates between the usual three, for the batches where the valley's
    /// form is the greatest error.
    ///
    /// - Parameter seeds: the number of seeds of each batch that get the rates.
    private func ratesBetween(_ places: Set<Int>, _ state: State, seeds: Int) -> [PlannedRun] {
        places.sorted().filter { state.valley?.isFormUnknown(at: $0) ?? false }.flatMap { batch in
            runs(batch, state.rates[batch]?.between ?? [], state, seeds: seeds)
        }
    }

    private func runs(
        _ batch: Int, _ rates: [Double], _ state: State, seeds: Int = firstSeeds
    ) -> [PlannedRun] {
        rates.flatMap { rate in
            state.seeds(batch).prefix(seeds).map {
                PlannedRun(batch: batch, learningRate: rate, seed: $0)
            }
        }
    }
}
