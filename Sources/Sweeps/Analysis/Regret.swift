import Glibc
import Statistics

/// What following a rule costs at one batch: the loss at its rate, less the batch's best loss.
///
/// Paired by seed. The noise of the base's best rate and of the batch's own adds to the regret, as
/// it does for whoever follows the rule. Regrets are skewed to the right, which makes Student's
/// interval over three or four seeds a little short at its upper end: where the true regret is the
/// tolerance itself, "holds" is said in some 5 % of sweeps instead of 2.5 %.
package struct Regret: Sendable, Equatable {
    package enum Outcome: Sendable, Equatable {
        /// In nats, the mean over seeds with Student's interval.
        case measured(Estimate, standardDeviation: Double?)
        /// The rule's rate diverges for so many seeds.
        case diverged(seeds: Int)
        /// The rule's rate lies between the grid's rates and one that diverges for some seed.
        case belowDivergence
        /// The rule's rate lies outside the rates that were trained, and nothing is extrapolated.
        case outsideGrid(Side)
        /// There is no base rate to scale, or no run to compare with.
        case unavailable
    }

    package let batch: Int
    /// The rule's rate, the geometric mean over seeds; nil where there is no base rate.
    package let rate: Double?
    package private(set) var outcome: Outcome
    /// How many seeds it rests on.
    package let seedCount: Int
    /// Whether the batch's best loss is not known well enough for the regret to be no larger: it
    /// lies on the grid's edge, or where the grid is coarse, or is hidden in noise larger than the
    /// tolerance.
    package let isLowerBound: Bool
    /// The interval if the base's best rate had no error but the seeds'; nil where it makes no
    /// difference.
    package private(set) var intervalOfSeeds: Interval?
    /// Whether the base's best rate may be such that the rule's rate was not trained.
    package private(set) var isBaseTooUncertain = false
}

extension Regret {
    /// The regret of a rule whose rate is looked up on the grid.
    ///
    /// What the seeds have in common in the error of the base's best rate is taken to both its ends,
    /// and the interval holds all that come of it: added by squares, as independent errors are, an
    /// error that always has one sign would let wrong rules hold.
    ///
    /// - Parameter base: the batch whose own best rate, per seed, the rule scales; it must have
    ///   one.
    init(
        _ rule: ScalingRule, at batch: BatchOptimum, base: BatchOptimum, settings: AnalysisSettings
    ) {
        func regret(shift: Double) -> Regret {
            Regret(rule, at: batch, base: base, shift: shift, settings: settings)
        }
        self = regret(shift: 0)
        let error = base.optimum.best?.commonError ?? 0
        guard error > 0, case .measured(let estimate, let deviation) = outcome,
            let interval = estimate.interval
        else { return }
        var (lower, upper) = (interval.lower, interval.upper)
        for shift in [-error, error] {
            guard case .measured(let other, _) = regret(shift: shift).outcome,
                let interval = other.interval
            else {
                isBaseTooUncertain = true
                continue
            }
            lower = min(lower, interval.lower)
            upper = max(upper, interval.upper)
        }
        intervalOfSeeds = interval
        outcome = .measured(
            Estimate(
                estimate.value,
                interval: Interval(lower: lower, upper: upper, level: interval.level)),
            standardDeviation: deviation)
    }

    /// - Parameter shift: in ln(rate), of the base's best rates.
    private init(
        _ rule: ScalingRule, at batch: BatchOptimum, base: BatchOptimum, shift: Double,
        settings: AnalysisSettings
    ) {
        let ratio = Double(batch.batch) / Double(base.batch)
        let pairs: [(seed: SeedOptimum, logRate: Double)] = batch.seeds.compactMap { seed in
            // Where some seed has no best rate, the others' would be a choice of seeds.
            guard base.optimum.best != nil, let best = base.seed(seed.seed)?.optimum.best else {
                return nil
            }
            let rate = rule.rate(best.rate * exp(shift), ratio)
            return rate > 0 && rate.isFinite ? (seed, log(rate)) : nil
        }
        let rates = pairs.map { $0.logRate }
        self.init(
            batch: batch, rate: rates.isEmpty ? nil : exp(Sample(rates).mean),
            losses: pairs.map { ($0.seed, $0.seed.lookup($0.logRate)) }, settings: settings,
            reference: \.referenceLoss)
    }

    /// The regret of a rule that was trained itself, against each seed's loss at the batch's best
    /// rate: at a best rate of its own a seed is lucky with its noise, and the rule's runs are not.
    ///
    /// - Parameter points: the rule's runs at this batch.
    init(
        trained points: [TrainedPoint], at batch: BatchOptimum, design: Design,
        settings: AnalysisSettings
    ) {
        let pairs: [(SeedOptimum, RateLosses.Lookup)] = points.compactMap { point in
            guard let seed = batch.seed(point.seed), let loss = point.loss(at: design) else {
                return nil
            }
            return (seed, loss.isFinite ? .loss(loss) : .diverged)
        }
        let rates = points.map { log($0.learningRate) }
        self.init(
            batch: batch, rate: rates.isEmpty ? nil : exp(Sample(rates).mean), losses: pairs,
            settings: settings
        ) { seed in
            guard let best = batch.optimum.best, case .loss(let loss) = seed.lookup(best.logRate)
            else { return seed.referenceLoss }
            return loss
        }
    }

    private init(
        batch: BatchOptimum, rate: Double?, losses: [(SeedOptimum, RateLosses.Lookup)],
        settings: AnalysisSettings, reference: (SeedOptimum) -> Double?
    ) {
        self.batch = batch.batch
        self.rate = rate
        seedCount = losses.count
        isLowerBound = losses.contains { seed, _ in
            switch seed.optimum {
            case .found: false
            case .flat: seed.spread > settings.tolerance
            case .unbracketed, .coarse, .insufficient: true
            }
        }
        var regrets: [Double] = []
        var outside: Side?
        var diverged = 0
        var isBelowDivergence = false
        for (seed, lookup) in losses {
            switch lookup {
            case .diverged: diverged += 1
            case .belowDivergence: isBelowDivergence = true
            case .outsideGrid(let side): outside = side
            case .loss(let loss):
                if let reference = reference(seed) { regrets.append(loss - reference) }
            }
        }
        if diverged > 0 {
            outcome = .diverged(seeds: diverged)
        } else if isBelowDivergence {
            outcome = .belowDivergence
        } else if let outside {
            outcome = .outsideGrid(outside)
        } else if regrets.isEmpty || regrets.count < losses.count {
            outcome = .unavailable
        } else {
            let sample = Sample(regrets)
            outcome = .measured(
                sample.meanEstimate(level: settings.level),
                standardDeviation: sample.standardDeviation)
        }
    }
}
