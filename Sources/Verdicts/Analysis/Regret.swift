import Glibc
import Statistics

/// The cost of following a rule at one batch: the loss at the rule's rate minus the batch's least
/// loss.
///
/// It is the value of the batch's mean curve at the distance of the rule's rate from the best rate.
/// The mean over seeds of each seed's own regret would be biased, because it contains the variance
/// of the best rates, however many seeds there are.
package struct Regret: Sendable, Equatable {
    /// The result of measuring a regret: a number, or the reason why there is none.
    package enum Outcome: Sendable, Equatable {
        /// The regret in nats. It has no interval with one seed, or if an end of the interval is
        /// unknown.
        case measured(Estimate)
        /// The rule's rate diverges for a number of seeds.
        case diverged(seeds: Int)
        /// The rule's rate lies between the grid's rates and one that diverges for some seed.
        case belowDivergence
        /// The rule's rate lies outside the rates that were trained. Losses are not extrapolated.
        case outsideGrid(Side)
        /// There is no base rate to scale, or no run to compare with.
        case unavailable
    }

    package let batch: Int
    /// The rule's rate, or nil if there is no base rate.
    package let rate: Double?
    package let outcome: Outcome
    /// The number of seeds with runs at this batch.
    package let seedCount: Int
    /// The least regret that the interval allows, or nil if it is unknown. A valley falls toward
    /// its best rate, so a rate beyond the grid costs at least what the edge of the grid costs.
    package let lower: Double?
    /// The greatest regret that the interval allows, or nil if it is unknown.
    package let upper: Double?
    /// Whether the batch's least loss is unknown, so that the true regret may be greater. If so,
    /// only `lower` is known.
    package let isLowerBound: Bool
    /// The interval of the rule's rate relative to the batch's best one, or nil if it is unknown.
    let rates: ClosedRange<Double>?
}

extension Regret {
    /// A rule's rate at a batch, and the errors of its distance from the best rate.
    struct RuleRate {
        /// The logarithm of the rule's rate.
        let logRate: Double
        /// The variance of ln(rule's rate / best rate), or nil if it is unknown.
        let noise: Noise?
        /// The error of the distance that comes from the resolution of the grid, in ln(rate).
        let resolution: Double
    }

    /// Computes the regret at a rule's rate.
    init(
        _ ruleRate: RuleRate, at batch: BatchOptimum, valley: SharedValley?,
        settings: AnalysisSettings
    ) {
        let curve = ExcessCurve(batch, valley, settings: settings)
        self.batch = batch.batch
        rate = exp(ruleRate.logRate)
        seedCount = batch.seeds.count
        isLowerBound = curve.isLowerBound
        let own = Bounds(ruleRate, curve, level: settings.level)
        lower = own.lower
        upper = curve.isLowerBound ? nil : own.upper
        rates = own.rates
        switch curve.value(at: ruleRate.logRate) {
        case .loss(_, let value, _):
            let interval = curve.isLowerBound ? nil : own.interval(level: settings.level)
            outcome = .measured(Estimate(value, interval: interval))
        case .diverged(let seeds): outcome = .diverged(seeds: seeds)
        case .belowDivergence: outcome = .belowDivergence
        case .outside(let side, _): outcome = .outsideGrid(side)
        case .unknown: outcome = .unavailable
        }
    }

    /// `lower`, or nil if it is infinite or is 0 after rounding to four decimals.
    package var informativeLower: Double? {
        lower.flatMap { $0 >= 5e-5 && $0.isFinite ? $0 : nil }
    }

    /// Creates a regret that is unavailable, because there is no base rate.
    init(unavailableAt batch: BatchOptimum) {
        self.batch = batch.batch
        (rate, outcome, seedCount) = (nil, .unavailable, 0)
        (lower, upper, isLowerBound, rates) = (nil, nil, true, nil)
    }

    /// Creates the regret at the base batch, where a rule changes nothing.
    init(base: BatchOptimum) {
        batch = base.batch
        rate = base.optimum.best?.rate
        seedCount = base.seeds.count
        let isKnown = base.optimum.best?.error != nil
        (lower, upper) = isKnown ? (0, 0) : (nil, nil)
        outcome = base.optimum.best == nil ? .unavailable : .measured(Estimate(0))
        (isLowerBound, rates) = (false, nil)
    }

    /// Computes the regret of a rule that was trained.
    ///
    /// A seed's regret is the loss of the rule's run minus the loss of the seed's own curve at the
    /// batch's best rate.
    ///
    /// - Parameter points: the rule's runs at this batch.
    init(
        trained points: [TrainedPoint], at batch: BatchOptimum, design: Design,
        valley: SharedValley?, settings: AnalysisSettings
    ) {
        self.batch = batch.batch
        let place = valley?.place(of: batch.batch)
        var regrets: [Double] = []
        var diverged = 0
        for point in points {
            guard let seed = batch.seed(point.seed), let loss = point.loss(at: design) else {
                continue
            }
            guard loss.isFinite else {
                diverged += 1
                continue
            }
            if let valley, let place, let best = batch.optimum.best, let least = seed.leastLoss {
                let z = best.logRate - (seed.logRate ?? best.logRate)
                regrets.append(loss - least - valley.excess(place, at: z).range.lowerBound)
            } else if let least = seed.losses.finite.map(\.loss).min() {
                regrets.append(loss - least)
            }
        }
        let logRates = points.map { log($0.learningRate) }
        rate = logRates.isEmpty ? nil : exp(Sample(logRates).mean)
        rates = nil
        seedCount = points.count
        isLowerBound = batch.optimum.best == nil
        guard diverged == 0, !regrets.isEmpty else {
            outcome = diverged > 0 ? .diverged(seeds: diverged) : .unavailable
            (lower, upper) = (diverged >= 2 ? .infinity : nil, nil)
            return
        }
        let sample = Sample(regrets)
        let estimate = sample.meanEstimate(level: settings.level)
        outcome = .measured(isLowerBound ? Estimate(estimate.value) : estimate)
        lower = estimate.interval?.lower
        upper = isLowerBound ? nil : estimate.interval?.upper
    }
}

extension Regret {
    /// The least and the greatest regret over the interval of the rule's rate.
    private struct Bounds {
        private(set) var lower: Double?
        private(set) var upper: Double?
        private(set) var rates: ClosedRange<Double>?

        init(_ ruleRate: RuleRate, _ curve: ExcessCurve, level: Double) {
            guard let noise = ruleRate.noise else { return }
            let half =
                noise.variance.squareRoot()
                * StudentT.twoSided(level: level, degreesOfFreedom: noise.degreesOfFreedom)
                + ruleRate.resolution
            let ends = [ruleRate.logRate - half, ruleRate.logRate + half]
            rates = exp(ends[0])...exp(ends[1])
            let values = (ends + [ruleRate.logRate]).map(curve.value)
            let contains = curve.best.map { ends[0] <= $0 && $0 <= ends[1] } ?? false
            let least = values.compactMap(\.least).min()
            lower = contains ? 0 : least.map { max(0, $0) }
            let greatest = values.compactMap(\.greatest)
            upper = greatest.count == values.count ? greatest.max() : nil
        }

        func interval(level: Double) -> Interval? {
            guard let lower, let upper, lower <= upper else { return nil }
            return Interval(lower: lower, upper: upper, level: level)
        }
    }
}

/// The loss above a batch's least one as a function of ln(rate).
private struct ExcessCurve {
    enum Value {
        /// The value and the range in which it lies.
        case loss(least: Double, value: Double, greatest: Double)
        case diverged(seeds: Int)
        case belowDivergence(atLeast: Double)
        case outside(Side, atLeast: Double)
        case unknown

        var least: Double? {
            switch self {
            case .loss(let least, _, _): least
            case .diverged(let seeds): seeds >= 2 ? .infinity : 0
            case .belowDivergence(let least), .outside(_, let least): least
            case .unknown: nil
            }
        }

        var greatest: Double? {
            if case .loss(_, _, let greatest) = self { greatest } else { nil }
        }
    }

    private let batch: BatchOptimum
    private let valley: SharedValley?
    /// The place of the batch in the valley, or nil if it is not there.
    private let place: Int?
    /// The loss above which the excess is measured, or nil without losses.
    private let reference: Double?
    /// ln(best rate), or nil if it is unknown.
    let best: Double?
    /// Whether the least loss is unknown.
    let isLowerBound: Bool
    /// Whether a loss of few seeds may count as a cost. It may not if noise hides the valley or no
    /// valley fits, because one burst would then look like a cost.
    private let trustsSingleRuns: Bool

    init(_ batch: BatchOptimum, _ valley: SharedValley?, settings: AnalysisSettings) {
        self.batch = batch
        self.valley = valley
        place = valley?.place(of: batch.batch)
        best = batch.optimum.best?.logRate
        let inside = batch.typical.finite.filter { entry in
            batch.bounds.map { $0.contains(entry.logRate) } ?? false
        }.map(\.loss)
        let spread = (inside.max() ?? 0) - (inside.min() ?? 0)
        trustsSingleRuns = batch.optimum != .flat && batch.optimum != .misfit
        switch batch.optimum {
        case .found(let best): (reference, isLowerBound) = (best.loss, false)
        case .flat where !inside.isEmpty, .misfit where !inside.isEmpty:
            // The least of several noisy losses is too low on average.
            (reference, isLowerBound) = (Sample(inside).mean, spread > settings.tolerance)
        case .flat, .misfit, .unbracketed, .insufficient:
            (reference, isLowerBound) = (batch.typical.finite.map(\.loss).min(), true)
        }
    }

    /// Returns two standard errors of the difference between the typical loss at ln(rate) and the
    /// least one, in nats.
    private func error(at logRate: Double) -> Double {
        let few = Double(max(1, batch.seedCount(near: logRate)))
        let all = Double(max(1, batch.seeds.count))
        // The variance of a median is pi / 2 times that of a mean.
        return 2 * (batch.noise ?? 0) * (Double.pi / 2 * (1 / few + 1 / all)).squareRoot()
    }

    /// Returns the least excess at ln(rate), given the typical loss there. It is 0 if a burst of one
    /// seed could explain the excess.
    private func least(_ loss: Double, at logRate: Double) -> Double {
        guard let reference, trustsSingleRuns || batch.seedCount(near: logRate) >= fewestUsefulSeeds
        else { return 0 }
        return max(0, loss - reference - error(at: logRate))
    }

    func value(at logRate: Double) -> Value {
        if let valley, let place, let best, let bounds = batch.bounds, bounds.contains(logRate) {
            let (value, range) = valley.excess(place, at: logRate - best)
            return .loss(least: range.lowerBound, value: value, greatest: range.upperBound)
        }
        switch batch.typical.lookup(logRate) {
        case .loss(let loss):
            guard let reference else { return .unknown }
            // The reference of a flat batch is a mean, so single losses may be below it.
            let value = max(0, loss - reference)
            return .loss(
                least: least(loss, at: logRate), value: value,
                greatest: value + error(at: logRate))
        case .diverged:
            let seeds = batch.seeds.count { $0.losses.lookup(logRate) == .diverged }
            return .diverged(seeds: max(1, seeds))
        case .belowDivergence:
            let edge = batch.typical.finite.last { $0.logRate < logRate }
            return .belowDivergence(atLeast: edge.map { least($0.loss, at: $0.logRate) } ?? 0)
        case .outsideGrid(let side):
            let finite = batch.typical.finite
            guard reference != nil, let edge = side == .above ? finite.last : finite.first else {
                return .unknown
            }
            return .outside(side, atLeast: least(edge.loss, at: edge.logRate))
        }
    }
}
