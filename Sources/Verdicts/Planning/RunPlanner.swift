import Glibc
import Statistics

/// A planner that chooses the runs of a sweep in rounds, so that it trains only runs that help to
/// settle a rule.
///
/// A sweep proceeds in rounds. First, one seed finds the best rate of the smallest and the largest
/// batch with coarse rates, and the best rates of the batches between them near the line that
/// joins the two. Then every batch gets more seeds, each with three rates: near the best rate and
/// on both sides of it. Finally, seeds are added one at a time where a rule is still undecided.
///
/// A round is a function of the finished runs, so a sweep is the same on any layout.
package struct RunPlanner: Sendable {
    /// The next round of a sweep.
    package enum Round: Sendable, Equatable {
        /// Runs that no finished run answers, in the order of their training.
        case runs([PlannedRun])
        /// Every rule holds up to the largest batch, or fails at some batch.
        case decided
        /// No further run is expected to decide.
        case exhausted
    }

    /// The rates with which the search for the best rate of a batch starts, in ascending order.
    private let startRates: [Int: [Double]]
    /// The batches in ascending order.
    private let batches: [Int]
    private let baseBatch: Int
    /// The seeds in the order of their use. Numbers above the largest one follow.
    private let seeds: [UInt64]
    private let design: Design
    private let settings: AnalysisSettings
    /// ln(ratio of neighboring rates).
    private let step: Double

    /// The number of seeds that every batch gets before seeds are added one at a time.
    private static let firstSeeds = fewestUsefulSeeds
    /// The number of seeds from which a simulation tells whether as many more would help.
    private static let manySeeds = 8
    /// The least probability of a decision that is worth more seeds.
    private static let leastShare = 0.1
    /// The largest number of seeds at a batch.
    private static let mostSeeds = 64
    /// The number of steps by which a search may leave its first rates on either side.
    private static let mostSteps = 10.0
    /// The height of the outer two rates of a seed on the valley, in units of the tolerance. They
    /// show where the valley's middle is best where it is steep, but its form is known only near
    /// the best rate.
    private static let height = 5.0
    /// The rise of the loss on either side of the best rate, in units of the tolerance, from which a
    /// search ends.
    private static let rise = 2.0
    /// The rise between neighbors, in units of the tolerance, from which a search needs a rate
    /// between them.
    private static let steep = 10.0
    /// The number of undecided batches from which the base batch gets two seeds in a round, because
    /// every batch is compared with it.
    private static let manyBatches = 3
    /// The distance in ln(rate) to a rate that diverges below which the search ends.
    private static let nearDivergence = 0.2

    /// Creates a planner.
    ///
    /// - Parameters:
    ///   - startRates: at least three rates for each batch, in ascending order, with about the same ratio of
    ///     neighbors.
    ///   - seeds: at least one seed.
    ///   - settings: the settings of the analysis; its first design judges the runs.
    package init(
        startRates: [Int: [Double]], baseBatch: Int, seeds: [UInt64], settings: AnalysisSettings
    ) {
        precondition(
            startRates.values.allSatisfy { $0.count >= 3 } && !seeds.isEmpty
                && !settings.designs.isEmpty, "a plan needs rates, seeds and a design")
        self.startRates = startRates
        batches = startRates.keys.sorted()
        self.baseBatch = baseBatch
        self.seeds = seeds
        design = settings.designs[0]
        self.settings = settings
        let rates = startRates[baseBatch] ?? startRates[batches[0]] ?? []
        step = log(rates[rates.count - 1] / rates[0]) / Double(rates.count - 1)
    }

    /// Returns the next round.
    ///
    /// - Parameter points: the finished runs of the grid.
    package func next(after points: [TrainedPoint]) -> Round {
        let own = points.filter { $0.rule == TrainedPoint.grid }
        let known = Set(own.map { Key($0.batch, $0.learningRate, $0.seed) })
        let losses = batches.map { batch in
            BatchLosses(batch: batch, points: own.filter { $0.batch == batch }, design: design)
        }
        func new(_ runs: [PlannedRun]) -> [PlannedRun] {
            runs.filter { !known.contains(Key($0.batch, $0.learningRate, $0.seed)) }
        }
        let search = new(searchRuns(losses))
        guard search.isEmpty else { return .runs(search) }
        let (optima, valley) = BatchOptimum.all(own, design: design, settings: settings)
        let ratesOfSeeds = Dictionary(
            uniqueKeysWithValues: optima.map { ($0.batch, seedRates($0, valley)) })
        func seedRuns(_ batch: Int, upTo count: Int) -> [PlannedRun] {
            let used = optima.first { $0.batch == batch }?.seeds.map(\.seed) ?? []
            let order = self.order(after: used, count: count)
            return order.flatMap { seed in
                (ratesOfSeeds[batch] ?? []).map {
                    PlannedRun(batch: batch, learningRate: $0, seed: seed)
                }
            }
        }
        let first = new(
            bySeed(
                optima.flatMap { optimum in
                    seedRuns(optimum.batch, upTo: max(0, Self.firstSeeds - optimum.seeds.count))
                }))
        guard first.isEmpty else { return .runs(first) }
        let verdicts = DesignAnalysis.lookedUp(
            optima, valley, baseBatch: baseBatch, settings: settings)
        let open = verdicts.filter { !$0.isSettled }
        guard !open.isEmpty else { return .decided }
        let places = Set(open.flatMap(\.decidingGaps).map(\.batch))
        guard !places.isEmpty else { return .exhausted }
        let rates = new(
            open.flatMap(\.decidingGaps).flatMap { gap -> [PlannedRun] in
                guard case .rates(let rates, let batch)? = gap.decidingRuns else { return [] }
                let used = optima.first { $0.batch == batch }?.seeds.map(\.seed) ?? []
                return limited(rates.map { log($0) }, batch).flatMap { rate in
                    used.prefix(Self.firstSeeds).map {
                        PlannedRun(batch: batch, learningRate: rate, seed: $0)
                    }
                }
            })
        guard rates.isEmpty else { return .runs(bySeed(rates)) }
        guard seedsMayDecide(places, optima, valley, rules: open.map(\.name)) else {
            return .exhausted
        }
        let counts = optima.compactMap { optimum -> (Int, Int)? in
            let isBase = optimum.batch == baseBatch
            guard isBase || places.contains(optimum.batch) else { return nil }
            let count = isBase && places.count >= Self.manyBatches ? 2 : 1
            return (optimum.batch, min(count, max(0, Self.mostSeeds - optimum.seeds.count)))
        }
        let more = new(bySeed(counts.flatMap { seedRuns($0, upTo: $1) }))
        return more.isEmpty ? .exhausted : .runs(more)
    }

    // MARK: - The search for the best rates

    private func searchRuns(_ losses: [BatchLosses]) -> [PlannedRun] {
        let seed = seeds[0]
        func runs(_ batch: Int, _ rates: [Double]) -> [PlannedRun] {
            rates.map { PlannedRun(batch: batch, learningRate: $0, seed: seed) }
        }
        let ends = [losses[0], losses[losses.count - 1]]
        let untried = ends.filter(\.entries.isEmpty)
        guard untried.isEmpty else {
            return Set(untried.map(\.batch)).sorted().flatMap { batch in
                let rates = startRates[batch] ?? []
                return runs(
                    batch,
                    rates.indices.filter { $0 % 2 == 0 || $0 == rates.count - 1 }.map { rates[$0] })
            }
        }
        let begun = losses.filter { !$0.entries.isEmpty }
        let more = begun.flatMap { runs($0.batch, missingNeighbors($0)) }
        guard more.isEmpty else { return more }
        let known = begun.compactMap { losses in
            best(losses).map { (x: log(Double(losses.batch)), y: $0.logRate) }
        }
        return losses.filter(\.entries.isEmpty).flatMap { losses -> [PlannedRun] in
            let batch = losses.batch
            let center = interpolated(known, at: log(Double(batch)))
            let origin = startRates[batch].map { log($0[0]) } ?? center
            let nearest = origin + ((center - origin) / step).rounded() * step
            return runs(batch, [-1, 0, 1].map { exp(nearest + $0 * step) })
        }
    }

    private func best(_ losses: BatchLosses) -> BatchLosses.TypicalLoss? {
        losses.entries.filter(\.loss.isFinite).min { $0.loss < $1.loss }
    }

    /// Returns the rates that the neighborhood of a batch's least loss lacks.
    private func missingNeighbors(_ losses: BatchLosses) -> [Double] {
        let entries = losses.entries
        guard let best = best(losses), let place = entries.firstIndex(of: best) else {
            // Every rate diverged.
            return entries.first.map { limited([$0.logRate - 2 * step], losses.batch) } ?? []
        }
        let sides = [
            (sign: -1.0, entries: Array(entries[..<place].reversed())),
            (sign: 1.0, entries: Array(entries[(place + 1)...])),
        ]
        let rates = sides.flatMap { side -> [Double] in
            guard let neighbor = side.entries.first else {
                // The spacing of the other side's rates tells how coarse the search is.
                let other = sides.first { $0.sign != side.sign }?.entries.first
                let isCoarse = other.map { abs($0.logRate - best.logRate) > 1.5 * step } ?? true
                return [best.logRate + side.sign * (isCoarse ? 2 : 1) * step]
            }
            let gap = abs(neighbor.logRate - best.logRate)
            let excess = neighbor.loss - best.loss
            let isSteep = excess > Self.steep * settings.tolerance
            let widest =
                !isSteep ? 1.5 * step : excess.isFinite ? 0.3 * step : Self.nearDivergence
            if gap > widest { return [(best.logRate + neighbor.logRate) / 2] }
            let rises = side.entries.contains {
                $0.loss - best.loss >= Self.rise * settings.tolerance
            }
            guard !rises, let edge = side.entries.last else { return [] }
            return [edge.logRate + side.sign * step]
        }
        return limited(rates, losses.batch)
    }

    /// Returns those rates that are not too far from the first ones.
    private func limited(_ logRates: [Double], _ batch: Int) -> [Double] {
        let start = startRates[batch] ?? []
        let bounds =
            log(start[0]) - Self.mostSteps * step...log(start[start.count - 1])
            + Self.mostSteps * step
        return logRates.filter(bounds.contains).map { exp($0) }
    }

    /// Returns the value at `x` of the line through the two points that enclose it.
    private func interpolated(_ points: [(x: Double, y: Double)], at x: Double) -> Double {
        let below = points.last { $0.x <= x }
        let above = points.first { $0.x >= x }
        guard let below, let above else { return (below ?? above ?? points.first)?.y ?? 0 }
        guard above.x > below.x else { return below.y }
        return below.y + (x - below.x) / (above.x - below.x) * (above.y - below.y)
    }

    // MARK: - Seeds

    /// Returns whether more seeds may settle one of some rules. Once there are many seeds, the
    /// error that they have in common may be all that is left.
    private func seedsMayDecide(
        _ places: Set<Int>, _ optima: [BatchOptimum], _ valley: SharedValley?, rules: [String]
    ) -> Bool {
        let fewest = optima.filter { places.contains($0.batch) }.map(\.seeds.count).min() ?? 0
        guard fewest >= Self.manySeeds else { return true }
        guard let valley,
            let simulation = SeedSimulation(
                places.union([baseBatch]).sorted(), optima, valley, baseBatch: baseBatch,
                settings: settings)
        else { return false }
        let shares = simulation.probabilities(ofDecisionWith: Self.manySeeds)
        return rules.contains { shares[$0] ?? 0 >= Self.leastShare }
    }

    /// Returns up to three rates of a batch that show a seed's best rate: near the batch's best
    /// rate, and on both sides of it at a given height of the valley.
    private func seedRates(_ optimum: BatchOptimum, _ valley: SharedValley?) -> [Double] {
        let all = optimum.typical.finite.map(\.logRate)
        guard let least = optimum.typical.finite.min(by: { $0.loss < $1.loss }) else { return [] }
        let center = optimum.optimum.best?.logRate ?? least.logRate
        let place = valley?.place(of: optimum.batch)
        func distance(_ sign: Double) -> Double {
            guard let valley, let place else { return step }
            var (near, far) = (0.25 * step, 2.5 * step)
            for _ in 0..<40 {
                let middle = (near + far) / 2
                let height = valley.excess(place, at: sign * middle).range.upperBound
                if height < Self.height * settings.tolerance { near = middle } else { far = middle }
            }
            return near
        }
        let middle = nearest(center, among: all)
        func outer(_ sign: Double) -> Double {
            let rate = nearest(center + sign * distance(sign), among: all)
            guard sign * (rate - middle) < 0.2 * step else { return rate }
            let others = all.filter { sign * ($0 - middle) > 0.2 * step }
            return others.min { abs($0 - middle) < abs($1 - middle) } ?? middle + sign * step
        }
        let (below, above) = (outer(-1), outer(1))
        let limit = optimum.grid.divergingRate.map { log($0) - 1e-6 } ?? .infinity
        let rates = [below, middle, above].filter { $0 < limit }
        // Next to a rate that diverges, the second rate below the best one replaces the one above.
        let lowest = rates.count < 3 ? [nearest(below - step, among: all)] : []
        return Set((lowest + rates).map { exp($0) }).sorted()
    }

    /// Returns the known rate within half a step of `logRate`, otherwise the nearest one of the grid
    /// that the known rates continue.
    private func nearest(_ logRate: Double, among known: [Double]) -> Double {
        guard let near = known.min(by: { abs($0 - logRate) < abs($1 - logRate) }) else {
            return logRate
        }
        return near + ((logRate - near) / step).rounded() * step
    }

    /// Returns the next seeds at a batch.
    private func order(after used: [UInt64], count: Int) -> [UInt64] {
        let largest = seeds.max() ?? 0
        let further = (0..<UInt64(Self.mostSeeds)).lazy.map { largest + 1 + $0 }
        return Array((seeds + further).filter { !used.contains($0) }.prefix(count))
    }

    private func bySeed(_ runs: [PlannedRun]) -> [PlannedRun] {
        runs.enumerated().sorted { ($0.element.seed, $0.offset) < ($1.element.seed, $1.offset) }
            .map(\.element)
    }
}

/// The identity of a run.
private struct Key: Hashable {
    let batch: Int
    /// ln(rate) in units of 1e-4, because a sweep rounds its rates.
    let logRate: Int
    let seed: UInt64

    init(_ batch: Int, _ rate: Double, _ seed: UInt64) {
        self.batch = batch
        logRate = Int((log(rate) * 1e4).rounded())
        self.seed = seed
    }
}
