import Glibc
import Statistics

/// The best rate of one batch, over seeds.
package struct BatchOptimum: Sendable, Equatable {
    package let batch: Int
    /// Over seeds: the mean of ln(rate), with Student's interval. Found only where every seed's is.
    package let optimum: RateOptimum
    /// By seed.
    package let seeds: [SeedOptimum]
    /// The rates of the grid that did not diverge for any seed, and what comes next to them.
    package let grid: GridEdges
    /// How much a single run's loss differs from the curve of its seed, in nats; nil when unknown.
    package let noise: Double?
    /// The runs that some seeds lack and others have; nil where all have the same.
    let unfinished: DecidingRuns?
    /// Whether every seed has a lower loss at the least mean loss's rate than at its neighbours.
    private let isBestOfEverySeed: Bool
    /// The sides on which no rate is worse than the best beyond doubt.
    private let openSides: [Side]

    init(batch: Int, points: [TrainedPoint], design: Design, settings: AnalysisSettings) {
        let losses = BatchLosses(batch: batch, points: points, design: design)
        let window = RateWindow(losses, settings: settings)
        self.batch = batch
        isBestOfEverySeed = losses.isBestOfEverySeed
        openSides = losses.openSides
        let missing = losses.missing
        unfinished =
            missing.isEmpty
            ? nil
            : .missing(
                seeds: missing.map(\.seed), rates: Set(missing.flatMap(\.rates)).sorted(),
                batch: batch)
        seeds = losses.seeds.map { SeedOptimum($0, window: window, level: settings.level) }
        grid = GridEdges(losses.mean)
        noise = window.noise?.variance.squareRoot()
        let found = seeds.compactMap(\.optimum.best)
        guard !found.isEmpty, found.count == seeds.count else {
            optimum = seeds.first { $0.optimum.best == nil }?.optimum ?? .insufficient
            return
        }
        let logRate = Sample(found.map(\.logRate)).meanEstimate(level: settings.level)
        // What is the same for all seeds does not average out.
        let resolution = found.map(\.resolution).max() ?? 0
        optimum = .found(
            BestRate(
                rate: exp(logRate.value), loss: Sample(found.map(\.loss)).mean,
                interval: logRate.interval?.widened(by: resolution + window.misfit).mapped(exp),
                resolution: resolution, misfit: window.misfit))
    }

    /// The runs that this batch lacks for a best rate; nil where it has one.
    package var decidingRuns: DecidingRuns? {
        switch optimum {
        case .found: return nil
        case _ where unfinished != nil: return unfinished
        case .unbracketed(let side): return .rates(grid.further(to: side), batch: batch)
        case .coarse: return .rates(grid.between, batch: batch)
        case .flat where isBestOfEverySeed || openSides.isEmpty || seeds.count < fewestUsefulSeeds:
            // There is something to be seen, but for the noise, or too few seeds to tell that from
            // it.
            return .seeds(fewestUsefulSeeds, batches: [batch])
        case .flat:
            // The loss rises with the square of the distance: rates further out show the curve
            // where more seeds would have to be many.
            return .rates(openSides.flatMap { grid.further(to: $0) }, batch: batch)
        case .insufficient:
            let side: Side = grid.divergingRate == nil ? .above : .below
            let rates = grid.further(to: side)
            return rates.isEmpty ? .longer(batch: batch) : .rates(rates, batch: batch)
        }
    }

    func seed(_ seed: UInt64) -> SeedOptimum? { seeds.first { $0.seed == seed } }

    /// The rate of the grid whose runs stand for this batch: the nearest to the best one in
    /// ln(rate), or the one with the least mean loss where no best one was found.
    var gridRate: Double? {
        guard let best = optimum.best else { return grid.leastLossRate }
        return grid.rates.min { abs(log($0) - best.logRate) < abs(log($1) - best.logRate) }
    }
}
