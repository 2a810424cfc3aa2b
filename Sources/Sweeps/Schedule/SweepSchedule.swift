import Statistics
import Support

/// Which points of a sweep are to be trained, from what has been found so far.
///
/// It looks at results alone, never at the order in which they came, so that any number of groups,
/// killed and started again, ends with the same points.
package struct SweepSchedule: Sendable {
    private let specification: SweepSpecification
    private let contextLength: Int
    /// The rules that need runs of their own, and the batches that they reach.
    private let trainedRules: [(rule: SweepRule, batches: Set<Int>)]

    /// - Throws: a `.configuration` failure of the specification's recipe.
    package init(_ specification: SweepSpecification) throws(Failure) {
        self.specification = specification
        contextLength = try specification.firstRecipe.model.contextLength
        trainedRules = try specification.rules.filter(\.isTrained).map {
            (rule) throws(Failure) in
            (rule, Set(try specification.batches(reachedBy: rule)))
        }
    }

    /// All points that the results so far ask for, those with results among them, in the order in
    /// which they are taken: the longest first, so that groups end together.
    package func points(_ results: [PointResult]) -> [SweepPoint] {
        let batches = specification.batches.sorted { seconds(ofBatch: $0) > seconds(ofBatch: $1) }
        var points = batches.flatMap { batch in
            let rates = rates(ofBatch: batch, results)
            return specification.seeds.flatMap { seed in
                rates.map { SweepPoint(batch: batch, rate: $0, seed: seed) }
            }
        }
        guard !trainedRules.isEmpty, let rate = baseRate(results) else { return points }
        for (rule, reached) in trainedRules {
            points += batches.filter(reached.contains).flatMap { batch in
                specification.seeds.map {
                    SweepPoint(rule: rule.name, batch: batch, rate: rate, seed: $0)
                }
            }
        }
        return points
    }

    /// Points of the grid as it is written, before anything is known.
    package var firstPoints: [SweepPoint] { points([]) }

    /// Those of all points that have no result yet, in their order.
    package func openPoints(_ results: [PointResult]) -> [SweepPoint] {
        let ended = Set(results.map(\.point.name))
        return points(results).filter { !ended.contains($0.name) }
    }

    /// How far a sweep with these results is.
    package func progress(_ results: [PointResult]) -> SweepLedger.Progress {
        let ended = Set(results.map(\.point.name))
        let points = points(results)
        return SweepLedger.Progress(
            done: points.count { ended.contains($0.name) }, total: points.count)
    }

    /// How many runs of a batch are still to come at least: those that are known of, and those of
    /// rules that will be trained.
    package func fewestRuns(ofBatch batch: Int, after results: [PointResult]) -> Int {
        let open = openPoints(results).count { $0.batch == batch }
        guard baseRate(results) == nil else { return open }
        let rules = trainedRules.count { $0.batches.contains(batch) }
        return open + rules * specification.seeds.count
    }

    /// Tokens stand for time.
    private func seconds(ofBatch batch: Int) -> Int {
        batch * specification.runSteps(ofBatch: batch, contextLength: contextLength)
    }

    /// A batch's rates, with those by which its grid has grown: outwards, or between a best rate
    /// and one that diverges.
    private func rates(ofBatch batch: Int, _ results: [PointResult]) -> [Double] {
        var rates = specification.rates(ofBatch: batch)
        let own = results.filter { $0.point.batch == batch && $0.point.rule == TrainedPoint.grid }
        var (below, above, between) = (0, 0, 0)
        growing: while true {
            for edge in edges(of: rates, own) {
                switch edge {
                case .below where below < specification.extend:
                    below += 1
                    rates.insert(shortened(rates[0] / specification.rateRatio), at: 0)
                    continue growing
                case .above where above < specification.extend:
                    above += 1
                    rates.append(shortened(rates[rates.count - 1] * specification.rateRatio))
                    continue growing
                case .divergence(let place) where between < specification.extend:
                    between += 1
                    rates.insert(
                        shortened((rates[place - 1] * rates[place]).squareRoot()), at: place)
                    continue growing
                case .below, .above, .divergence: continue
                }
            }
            return rates
        }
    }

    /// A side of the best rate on which a parabola lacks a neighbour.
    private enum Edge {
        case below
        case above
        /// There is one, at this place, but it diverges.
        case divergence(at: Int)
    }

    /// The edges of a batch's grid on which comparisons' best rates lie; none while some points
    /// have no result yet.
    private func edges(of rates: [Double], _ results: [PointResult]) -> [Edge] {
        let byRate = Dictionary(grouping: results, by: \.point.rate)
        let complete = rates.allSatisfy { byRate[$0]?.count == specification.seeds.count }
        guard complete else { return [] }
        return specification.designs.flatMap { design -> [Edge] in
            let losses = rates.map { rate -> Double in
                let runs = (byRate[rate] ?? []).map {
                    $0.trained(secondsPerStep: 0).loss(at: design) ?? .infinity
                }
                return runs.reduce(0, +) / Double(runs.count)
            }
            guard let best = losses.min(), best.isFinite,
                let place = losses.firstIndex(of: best)
            else { return [] }
            return (place == 0 ? [.below] : [])
                + (place == rates.count - 1
                    ? [.above]
                    : losses[place + 1].isFinite ? [] : [.divergence(at: place + 1)])
        }
    }

    /// The rate from which rules that are trained start: the base batch's best of the first
    /// comparison; nil before its grid is complete.
    private func baseRate(_ results: [PointResult]) -> Double? {
        // A rule that is being trained goes on from where it began.
        if let begun = results.first(where: { $0.point.rule != TrainedPoint.grid }) {
            return begun.point.rate
        }
        let base = specification.baseBatch
        let rates = rates(ofBatch: base, results)
        let own = results.filter { $0.point.batch == base && $0.point.rule == TrainedPoint.grid }
        guard own.count == rates.count * specification.seeds.count,
            let design = specification.designs.first
        else { return nil }
        let optimum = BatchOptimum(
            batch: base, points: own.map { $0.trained(secondsPerStep: 0) }, design: design,
            settings: specification.analysisSettings)
        return (optimum.optimum.best?.rate ?? optimum.gridRate).map(shortened)
    }
}
