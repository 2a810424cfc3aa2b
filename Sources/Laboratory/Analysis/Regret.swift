import Statistics

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// What following a rule costs at one batch: the loss at its rate, less the batch's best loss.
///
/// Paired by seed. The noise of the base's best rate and of the batch's own adds to the regret, as it
/// does for whoever follows the rule. Regrets are skewed to the right, which makes Student's interval
/// over three or four seeds a little short at its upper end: where the true regret is the tolerance
/// itself, "holds" is said in some 5 % of sweeps instead of 2.5 %.
package struct Regret: Sendable, Equatable {
    package enum Outcome: Sendable, Equatable {
        /// In nats, the mean over seeds with Student's interval.
        case measured(Estimate, standardDeviation: Double?)
        /// The rule's rate diverges, or lies between one that does and its neighbour, for some seed.
        case diverged
        /// The rule's rate lies outside the rates that were trained, and nothing is extrapolated.
        case outsideGrid(Side)
        /// There is no base rate to scale, or no run to compare with.
        case unavailable
    }

    package let batch: Int
    /// The rule's rate, the geometric mean over seeds; nil where there is no base rate.
    package let rate: Double?
    package let outcome: Outcome
    /// How many seeds it rests on.
    package let seedCount: Int
    /// Whether the batch's best loss lies on the grid's edge, so that the regret may be larger.
    package let isLowerBound: Bool
}

extension Regret {
    /// The regret of a rule whose rate is looked up on the grid.
    ///
    /// - Parameter base: the batch whose own best rate, per seed, the rule scales.
    init(_ rule: ScalingRule, at batch: BatchOptimum, base: BatchOptimum, level: Double) {
        let factor = rule.factor(Double(batch.batch) / Double(base.batch))
        precondition(factor > 0 && factor.isFinite, "a rule's factor is a positive number")
        let pairs: [(seed: SeedOptimum, logRate: Double)] = batch.seeds.compactMap { seed in
            base.seed(seed.seed)?.optimum.best.map { (seed, $0.logRate + log(factor)) }
        }
        let rates = pairs.map { $0.logRate }
        self.init(
            batch: batch, rate: rates.isEmpty ? nil : exp(Sample(rates).mean),
            losses: pairs.map { ($0.seed, $0.seed.lookup($0.logRate)) }, level: level)
    }

    /// The regret of a rule that was trained itself.
    ///
    /// - Parameter points: the rule's runs at this batch.
    init(trained points: [TrainedPoint], at batch: BatchOptimum, design: Design, level: Double) {
        let pairs: [(SeedOptimum, RateLosses.Lookup)] = points.compactMap { point in
            guard let seed = batch.seed(point.seed), let loss = point.loss(at: design) else {
                return nil
            }
            return (seed, loss.isFinite ? .loss(loss) : .diverged)
        }
        let rates = points.map { log($0.learningRate) }
        self.init(
            batch: batch, rate: rates.isEmpty ? nil : exp(Sample(rates).mean), losses: pairs,
            level: level)
    }

    private init(
        batch: BatchOptimum, rate: Double?, losses: [(SeedOptimum, RateLosses.Lookup)],
        level: Double
    ) {
        self.batch = batch.batch
        self.rate = rate
        seedCount = losses.count
        isLowerBound = losses.contains { seed, _ in
            switch seed.optimum {
            case .found, .flat: false
            case .unbracketed, .insufficient: true
            }
        }
        var regrets: [Double] = []
        var outside: Side?
        var diverged = false
        for (seed, lookup) in losses {
            switch lookup {
            case .diverged: diverged = true
            case .outsideGrid(let side): outside = side
            case .loss(let loss):
                if let reference = seed.referenceLoss { regrets.append(loss - reference) }
            }
        }
        if diverged {
            outcome = .diverged
        } else if let outside {
            outcome = .outsideGrid(outside)
        } else if regrets.isEmpty || regrets.count < losses.count {
            outcome = .unavailable
        } else {
            let sample = Sample(regrets)
            outcome = .measured(
                sample.meanEstimate(level: level), standardDeviation: sample.standardDeviation)
        }
    }
}
