import Glibc
import Statistics

/// The losses of one batch over rates and seeds, at one design's mark.
struct BatchLosses {
    let batch: Int
    /// By seed; each has an entry at least.
    let seeds: [RateLosses]

    /// - Parameter points: the grid's runs of this batch.
    init(batch: Int, points: [TrainedPoint], design: Design) {
        self.batch = batch
        seeds = Dictionary(grouping: points, by: \.seed).sorted { $0.key < $1.key }
            .map { RateLosses(seed: $0.key, points: $0.value, design: design) }
            .filter { !$0.entries.isEmpty }
    }

    /// A rate of the grid and what the seeds together say about it.
    struct MeanEntry {
        let logRate: Double
        /// Infinite where some seed diverged.
        let loss: Double
        /// How many seeds have it.
        let count: Int
    }

    /// The seeds' mean loss at every rate, by rate.
    ///
    /// Seeds differ by an offset that all rates share, the same start and the same data; it is
    /// taken out before averaging, so that a rate that only a good seed has does not look good for
    /// that.
    var mean: [MeanEntry] {
        let rates = allRates
        let shared = rates.filter { rate in
            seeds.allSatisfy { loss(of: $0, at: rate)?.isFinite ?? false }
        }
        let offsets = seeds.map { seed in
            shared.isEmpty
                ? 0
                : shared.reduce(0) { $0 + (loss(of: seed, at: $1) ?? 0) }
                    / Double(shared.count)
        }
        let offset = offsets.reduce(0, +) / Double(max(1, offsets.count))
        return rates.map { rate in
            let losses = zip(seeds, offsets).compactMap { seed, own in
                loss(of: seed, at: rate).map { $0 - own }
            }
            return MeanEntry(
                logRate: rate, loss: offset + losses.reduce(0, +) / Double(losses.count),
                count: losses.count)
        }
    }

    /// The seeds that lack rates which others have, each with those rates.
    var missing: [(seed: UInt64, rates: [Double])] {
        seeds.compactMap { seed in
            let rates = allRates.filter { loss(of: seed, at: $0) == nil }
            return rates.isEmpty ? nil : (seed.seed, rates.map { exp($0) })
        }
    }

    /// The noise of a single run's loss around the curve of its seed.
    ///
    /// From what is left of the table of seeds by rates after each rate's mean and each seed's own
    /// straight line are taken out: a seed whose optimum lies elsewhere has other losses by a line,
    /// where all curve alike, and that is no noise.
    ///
    /// Nil with fewer than two seeds, or three rates between the bounds that all seeds have.
    func noise(from lower: Double, to upper: Double) -> Noise? {
        let rates = allRates.filter { rate in
            (rate >= lower || isSameRate(rate, lower)) && (rate <= upper || isSameRate(rate, upper))
                && seeds.allSatisfy { loss(of: $0, at: rate)?.isFinite ?? false }
        }
        guard seeds.count >= 2, rates.count >= 3 else { return nil }
        let means = rates.map { rate in
            seeds.reduce(0) { $0 + (loss(of: $1, at: rate) ?? 0) } / Double(seeds.count)
        }
        let lines = seeds.compactMap { seed in
            linearLeastSquares(
                rates.map { [1, $0] },
                observations: zip(rates, means).map { (loss(of: seed, at: $0) ?? 0) - $1 })
        }
        let degreesOfFreedom = (seeds.count - 1) * (rates.count - 2)
        return Noise(
            variance: lines.reduce(0) { $0 + $1.residualSumOfSquares } / Double(degreesOfFreedom),
            degreesOfFreedom: degreesOfFreedom)
    }

    /// How far above a rate, in ln(rate), the next one is; nil unless that diverges for some seed.
    func distanceToDivergence(from logRate: Double) -> Double? {
        let next = mean.first { $0.logRate > logRate && !isSameRate($0.logRate, logRate) }
        return next.flatMap { $0.loss.isFinite ? nil : $0.logRate - logRate }
    }

    /// Whether the losses at a rate are worse than at another beyond doubt, by Student's test over
    /// the seeds' differences.
    func isWorse(at logRate: Double, than better: Double) -> Bool {
        let differences = seeds.compactMap { seed -> Double? in
            guard let own = loss(of: seed, at: logRate), let other = loss(of: seed, at: better)
            else { return nil }
            return own - other
        }
        guard differences.count == seeds.count, differences.allSatisfy(\.isFinite) else {
            return false
        }
        let estimate = Sample(differences).meanEstimate(level: Self.beyondDoubt)
        return estimate.interval.map { $0.lower > 0 } ?? false
    }

    /// From the nearest rate below another that is worse beyond doubt to the nearest such rate
    /// above; nil where one of them is missing.
    func walls(around logRate: Double) -> ClosedRange<Double>? {
        guard let lower = wall(.below, of: logRate), let upper = wall(.above, of: logRate) else {
            return nil
        }
        return lower...upper
    }

    /// The nearest rate on a side that is worse beyond doubt.
    func wall(_ side: Side, of logRate: Double) -> Double? {
        switch side {
        case .below: allRates.last { $0 < logRate && isWorse(at: $0, than: logRate) }
        case .above: allRates.first { $0 > logRate && isWorse(at: $0, than: logRate) }
        }
    }

    /// The sides of the least mean loss on which no rate is worse beyond doubt.
    var openSides: [Side] {
        let best = mean.filter(\.loss.isFinite).min { $0.loss < $1.loss }
        return [.below, .above].filter { side in
            best.map { wall(side, of: $0.logRate) == nil } ?? true
        }
    }

    /// Whether every seed has a lower loss at the least mean loss's rate than at its two
    /// neighbours.
    var isBestOfEverySeed: Bool {
        let mean = mean.filter(\.loss.isFinite)
        let best = mean.indices.min { mean[$0].loss < mean[$1].loss }
        guard let best, best > 0, best < mean.count - 1 else { return false }
        return seeds.allSatisfy { seed in
            let losses = [best, best - 1, best + 1].compactMap {
                loss(of: seed, at: mean[$0].logRate)
            }
            return losses.count == 3 && losses[0] < losses[1] && losses[0] < losses[2]
        }
    }

    private static let beyondDoubt = 0.99

    private var allRates: [Double] {
        var rates: [Double] = []
        for rate in seeds.flatMap({ $0.entries.map(\.logRate) }).sorted() {
            guard let last = rates.last, isSameRate(last, rate) else {
                rates.append(rate)
                continue
            }
        }
        return rates
    }

    private func loss(of seed: RateLosses, at rate: Double) -> Double? {
        seed.entries.first { isSameRate($0.logRate, rate) }?.loss
    }
}
