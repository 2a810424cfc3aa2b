import Glibc
import Statistics

/// The losses of one batch over rates and seeds, at one design's mark.
struct BatchLosses {
    let batch: Int
    /// The losses of each seed that has any, sorted by seed.
    let seeds: [RateLosses]
    /// The typical loss at every rate, sorted by rate.
    let entries: [TypicalLoss]

    /// A rate of the grid and its typical loss over seeds.
    struct TypicalLoss: Equatable {
        let logRate: Double
        /// The median over seeds, which one burst does not move; infinite if any seed diverged.
        let loss: Double
        /// The number of seeds with this rate.
        let count: Int
    }

    /// Collects the losses of a batch at a design's mark.
    ///
    /// - Parameter points: the grid's runs of this batch.
    init(batch: Int, points: [TrainedPoint], design: Design) {
        self.batch = batch
        let seeds = Dictionary(grouping: points, by: \.seed).sorted { $0.key < $1.key }
            .map { RateLosses(seed: $0.key, points: $0.value, design: design) }
            .filter { !$0.entries.isEmpty }
        self.seeds = seeds
        entries = Self.typicalLosses(seeds)
    }

    /// Collects the losses of all batches of a grid, sorted by batch.
    static func all(_ grid: [TrainedPoint], design: Design) -> [BatchLosses] {
        Dictionary(grouping: grid, by: \.batch).sorted { $0.key < $1.key }.map {
            BatchLosses(batch: $0.key, points: $0.value, design: design)
        }
    }

    /// Returns the typical losses.
    ///
    /// Seeds differ by an offset that is common to all rates, and may have different rates. A
    /// rate's typical loss and a seed's offset are therefore found together, as medians in turn
    /// (Tukey's median polish), so that a rate that only a good seed has does not look good because
    /// of that seed.
    private static func typicalLosses(_ seeds: [RateLosses]) -> [TypicalLoss] {
        guard !seeds.isEmpty else { return [] }
        let rates = distinctRates(seeds)
        let table = rates.map { rate in seeds.map { $0.loss(at: rate) } }
        var typical = table.map { losses in
            let finite = losses.compactMap(\.self).filter(\.isFinite)
            return finite.isEmpty ? 0 : median(finite)
        }
        var offsets = seeds.map { _ in 0.0 }
        // Only rates that several seeds have show how the seeds differ.
        let shared = rates.indices.filter { table[$0].compactMap(\.self).count >= 2 }
        for _ in 0..<mostPolishes {
            let before = offsets
            for seed in seeds.indices {
                let own = shared.compactMap { place in
                    table[place][seed].flatMap { $0.isFinite ? $0 - typical[place] : nil }
                }
                offsets[seed] = own.isEmpty ? 0 : median(own)
            }
            let mean = Sample(offsets).mean
            for place in rates.indices {
                let own = seeds.indices.compactMap { seed in
                    table[place][seed].flatMap { $0.isFinite ? $0 - offsets[seed] + mean : nil }
                }
                if !own.isEmpty { typical[place] = median(own) }
            }
            if zip(before, offsets).allSatisfy({ abs($0 - $1) < 1e-12 }) { break }
        }
        return rates.indices.map { place in
            let losses = table[place].compactMap(\.self)
            return TypicalLoss(
                logRate: rates[place],
                loss: losses.allSatisfy(\.isFinite) ? typical[place] : .infinity,
                count: losses.count)
        }
    }

    /// The largest number of rounds of the median polish. A few rounds are enough for seeds that
    /// have most of their rates in common, but not for seeds that share few rates.
    private static let mostPolishes = 100

    private static func distinctRates(_ seeds: [RateLosses]) -> [Double] {
        var rates: [Double] = []
        for rate in seeds.flatMap({ $0.entries.map(\.logRate) }).sorted() {
            guard let last = rates.last, isSameRate(last, rate) else {
                rates.append(rate)
                continue
            }
        }
        return rates
    }

    /// The typical losses in the form of one seed's losses, for interpolation.
    var typical: RateLosses {
        RateLosses(
            seed: 0,
            entries: entries.map {
                .init(logRate: $0.logRate, loss: $0.loss, initialLoss: .infinity)
            })
    }

    /// Returns the seeds that lack rates of other seeds between two ln(rate), each with the rates
    /// that it lacks.
    func missing(in bounds: ClosedRange<Double>?) -> [MissingRuns] {
        seeds.compactMap { seed in
            let rates = entries.map(\.logRate).filter {
                (bounds?.contains($0) ?? true) && seed.loss(at: $0) == nil
            }
            return rates.isEmpty
                ? nil : MissingRuns(seed: seed.seed, rates: rates.map { exp($0) })
        }
    }

    /// Returns the noise of a single run's loss around the curve of its seed, between two ln(rate).
    ///
    /// It is estimated from the table of seeds by rates, after each rate's typical loss and each
    /// seed's own straight line are subtracted: a seed whose best rate differs has losses that
    /// differ by a line if all seeds have the same curvature. The estimate is the median
    /// magnitude, which bursts do not move.
    ///
    /// Returns nil if there are fewer than two seeds, or fewer than three rates that all seeds
    /// have.
    func noise(from lower: Double, to upper: Double) -> Noise? {
        let rates = entries.map(\.logRate).filter { rate in
            (rate >= lower || isSameRate(rate, lower)) && (rate <= upper || isSameRate(rate, upper))
                && seeds.allSatisfy { $0.loss(at: rate)?.isFinite ?? false }
        }
        guard seeds.count >= 2, rates.count >= 3 else { return nil }
        let centers = rates.map { rate in median(seeds.map { $0.loss(at: rate) ?? 0 }) }
        let residuals = seeds.flatMap { seed -> [Double] in
            let differences = zip(rates, centers).map { (seed.loss(at: $0) ?? 0) - $1 }
            let rows = rates.map { [1, $0 - rates[0]] }
            guard let line = linearLeastSquares(rows, observations: differences) else { return [] }
            return zip(rows, differences).map { row, difference in
                difference - line.parameters[0] - line.parameters[1] * row[1]
            }
        }
        let degreesOfFreedom = (seeds.count - 1) * (rates.count - 2)
        let deviation =
            1.4826 * median(residuals.map(abs))
            * (Double(residuals.count) / Double(degreesOfFreedom)).squareRoot()
        return Noise(variance: deviation * deviation, degreesOfFreedom: degreesOfFreedom)
    }

    /// The number of standard errors by which typical losses clearly differ.
    static let clearDifference = 3.0

    /// Returns the standard error of the difference between two typical losses.
    ///
    /// The variance of a median is pi / 2 times that of a mean.
    static func error(_ first: TypicalLoss, _ second: TypicalLoss, noise: Double) -> Double {
        noise * (Double.pi / 2 * (1 / Double(first.count) + 1 / Double(second.count))).squareRoot()
    }

    /// Returns whether the typical losses between two ln(rate) clearly rise on both sides of the
    /// least one.
    ///
    /// - Parameter noise: the noise of a single run.
    func risesOnBothSides(in bounds: ClosedRange<Double>, noise: Double) -> Bool {
        let finite = entries.filter { $0.loss.isFinite && bounds.contains($0.logRate) }
        guard let least = finite.indices.min(by: { finite[$0].loss < finite[$1].loss }) else {
            return false
        }
        func rises(_ side: ArraySlice<TypicalLoss>) -> Bool {
            side.contains { entry in
                entry.loss - finite[least].loss
                    > Self.clearDifference * Self.error(entry, finite[least], noise: noise)
            }
        }
        return rises(finite[..<least]) && rises(finite[(least + 1)...])
    }

    /// Returns the distance in ln(rate) from a rate to the next one, or nil unless the next one
    /// diverges for some seed.
    func distanceToDivergence(from logRate: Double) -> Double? {
        let next = entries.first { $0.logRate > logRate && !isSameRate($0.logRate, logRate) }
        return next.flatMap { $0.loss.isFinite ? nil : $0.logRate - logRate }
    }
}
