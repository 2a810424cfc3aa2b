import Statistics
import Support
import Verdicts

/// The points of a sweep to train, derived from the results so far.
///
/// The points depend only on the results and not on the order in which the runs ended. Any number
/// of groups therefore ends with the same points, even if groups are killed and started again.
package struct SweepSchedule: Sendable {
    /// The schedules of the members, the largest model first.
    private let members: [MemberSchedule]

    /// Creates the schedule of a sweep, the largest models first.
    ///
    /// - Throws: `Failure` (configuration) if the specification's recipe is invalid.
    package init(_ specification: SweepSpecification) throws(Failure) {
        let sorted = try specification.members.sorted { $0.parameterCount > $1.parameterCount }
        members = try sorted.map { (member) throws(Failure) in try MemberSchedule(member) }
    }

    /// Returns all points that the results so far call for, including the points that have ended,
    /// in the order of their training. The longest come first, so that the groups end together.
    package func points(_ results: [PointResult]) -> [SweepPoint] {
        members.flatMap { $0.points(own($0, results)) }
    }

    /// Returns the points that have no result yet, in the order of their training.
    package func openPoints(_ results: [PointResult]) -> [SweepPoint] {
        let ended = Set(results.map(\.point.name))
        return points(results).filter { !ended.contains($0.name) }
    }

    /// Returns the progress of a sweep with these results.
    package func progress(_ results: [PointResult]) -> SweepLedger.Progress {
        let ended = Set(results.map(\.point.name))
        let points = points(results)
        return SweepLedger.Progress(
            done: points.count { ended.contains($0.name) }, total: points.count)
    }

    /// Returns the least number of remaining runs of a member and a batch.
    package func fewestRuns(
        of variant: SweepVariant?, batch: Int, after results: [PointResult]
    ) -> Int {
        members.first { $0.variant == variant }.map {
            $0.fewestRuns(ofBatch: batch, after: own($0, results))
        } ?? 0
    }

    /// Returns the number of tokens on which a run of a batch is trained, in a sweep without sizes.
    func tokens(ofBatch batch: Int) -> Double { members[0].tokens(ofBatch: batch) }

    /// The mean number of tokens of a run over the batches, in a sweep without sizes.
    var meanTokens: Double { members[0].meanTokens }

    private func own(_ member: MemberSchedule, _ results: [PointResult]) -> [PointResult] {
        results.filter { $0.point.variant == member.variant }
    }
}

/// The points of a sweep's member to train, derived from the member's results so far.
struct MemberSchedule: Sendable {
    let variant: SweepVariant?
    private let specification: SweepSpecification
    private let contextLength: Int
    /// The rules that need runs of their own, with the batches that they reach.
    private let trainedRules: [(rule: SweepRule, batches: Set<Int>)]

    /// Creates the schedule of a member.
    ///
    /// - Throws: `Failure` (configuration) if the specification's recipe is invalid.
    init(_ member: SweepMember) throws(Failure) {
        variant = member.variant
        let specification = member.specification
        self.specification = specification
        contextLength = try specification.firstRecipe.model.contextLength
        trainedRules = try specification.rules.filter(\.isTrained).map {
            (rule) throws(Failure) in
            (rule, Set(try specification.batches(reachedBy: rule)))
        }
    }

    /// Returns all points that the member's results call for, the longest first.
    func points(_ results: [PointResult]) -> [SweepPoint] {
        let batches = specification.batches.sorted {
            relativeCost(ofBatch: $0) > relativeCost(ofBatch: $1)
        }
        var points = batches.flatMap { batch in
            let rates = rates(ofBatch: batch, results)
            return specification.seeds.flatMap { seed in
                rates.map { SweepPoint(batch: batch, rate: $0, seed: seed, variant: variant) }
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

    /// Returns the least number of remaining runs of a batch: the known points, and the runs of
    /// rules that are trained after the grid.
    func fewestRuns(ofBatch batch: Int, after results: [PointResult]) -> Int {
        let ended = Set(results.map(\.point.name))
        let open = points(results).count { $0.batch == batch && !ended.contains($0.name) }
        guard baseRate(results) == nil else { return open }
        let rules = trainedRules.count { $0.batches.contains(batch) }
        return open + rules * specification.seeds.count
    }

    /// Returns the number of tokens on which a run of a batch is trained.
    func tokens(ofBatch batch: Int) -> Double {
        Double(relativeCost(ofBatch: batch)) * Double(contextLength)
    }

    /// The mean number of tokens of a run over the batches.
    var meanTokens: Double {
        specification.batches.reduce(0) { $0 + tokens(ofBatch: $1) }
            / Double(specification.batches.count)
    }

    /// Returns a number proportional to the duration of a run, which is assumed to be proportional
    /// to the run's tokens.
    private func relativeCost(ofBatch batch: Int) -> Int {
        batch * specification.runSteps(ofBatch: batch, contextLength: contextLength)
    }

    /// Returns the rates of a batch, including those by which its grid has grown, either outwards
    /// or between the best rate and one that diverges.
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

    /// A side of the best rate on which the grid lacks the neighbor that a parabola needs.
    private enum Edge {
        case below
        case above
        /// The neighbor at this index diverges.
        case divergence(at: Int)
    }

    /// Returns the edges of a batch's grid on which the best rates of the comparisons lie, or none
    /// if some points have no result yet.
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

    /// Returns the rate that the trained rules scale, which is the best rate of the base batch in
    /// the first comparison, or nil if that grid is not complete yet.
    private func baseRate(_ results: [PointResult]) -> Double? {
        // Once a rule is in training, its base rate must not change.
        if let begun = results.first(where: { $0.point.rule != TrainedPoint.grid }) {
            return begun.point.rate
        }
        let base = specification.baseBatch
        let rates = rates(ofBatch: base, results)
        let own = results.filter { $0.point.batch == base && $0.point.rule == TrainedPoint.grid }
        guard own.count == rates.count * specification.seeds.count,
            let design = specification.designs.first
        else { return nil }
        let optima = BatchOptimum.optima(
            own.map { $0.trained(secondsPerStep: 0) }, design: design,
            settings: specification.analysisSettings)
        guard let optimum = optima.first else { return nil }
        return (optimum.optimum.best?.rate ?? optimum.gridRate).map(shortened)
    }
}
