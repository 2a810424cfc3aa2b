import Glibc
import Statistics

/// The best rate of one batch.
package struct BatchOptimum: Sendable, Equatable {
    package let batch: Int
    package private(set) var optimum: RateOptimum
    /// The seeds' own best rates, sorted by seed.
    package let seeds: [SeedOptimum]
    /// The rates of the grid that diverged for no seed, and the rates that would extend it.
    package let grid: GridEdges
    /// The standard deviation of a single run's loss around the curve of its seed, in nats; nil if
    /// it is unknown.
    package let noise: Double?
    /// The typical loss over seeds at each rate of the grid.
    let typical: RateLosses
    /// The number of seeds at each rate of `typical`.
    private let counts: [Int]
    /// The rates in ln(rate) that the valley was fitted to.
    package let bounds: ClosedRange<Double>?
    /// The sides on which further rates may lie inside the window.
    private let openSides: [Side]
    /// The valley around the best rate, or nil if none was fitted.
    private let valley: Valley?
    /// Half the second derivative of the fitted loss in ln(rate) at the best rate, in nats; nil
    /// without a valley.
    package var curvature: Double? { valley?.curvature }
    /// The runs that some seeds lack and other seeds have, or nil if all seeds have the same runs.
    let unfinished: DecidingRuns?

    /// Determines the best rate of a batch.
    ///
    /// - Parameter valley: the valley of the design, or nil if no batch has one.
    init(
        _ losses: BatchLosses, window: RateWindow, valley: SharedValley?, settings: AnalysisSettings
    ) {
        batch = losses.batch
        let level = settings.level
        let missing = settings.seedsShareRates ? losses.missing(in: window.bounds) : []
        unfinished = missing.isEmpty ? nil : .missing(missing, batch: losses.batch)
        grid = GridEdges(losses.entries)
        typical = losses.typical
        counts = losses.entries.map(\.count)
        (bounds, openSides) = (window.bounds, window.openSides)
        let place = valley?.place(of: losses.batch)
        noise = place.flatMap { _ in valley?.fits[0].noise } ?? window.noise?.variance.squareRoot()
        self.valley = place.flatMap { valley?.fits[0].valleys[$0] }
        guard let valley, let place else {
            seeds = losses.seeds.map {
                SeedOptimum(seed: $0.seed, logRate: nil, leastLoss: nil, losses: $0)
            }
            optimum = Self.unfitted(losses, window, noise: valley?.fits[0].noise, level: level)
            return
        }
        let fit = valley.fits[0]
        seeds = losses.seeds.map { seed in
            SeedOptimum(
                seed: seed.seed,
                logRate: fit.deviations[place][seed.seed].map { fit.logRates[place] + $0 },
                leastLoss: fit.offsets[place][seed.seed], losses: seed)
        }
        let variance = valley.variance(place)
        optimum = .found(
            BestRate(
                logRate: fit.logRates[place], loss: fit.leastLosses[place],
                error: variance.map {
                    .init(
                        value: $0.squareRoot(),
                        degreesOfFreedom: valley.seedVariance?.degreesOfFreedom ?? 1)
                }, asymmetryError: valley.asymmetryErrors[place], shift: valley.shift, level: level)
        )
    }

    /// Returns a copy with another best rate.
    func with(_ best: BestRate) -> BatchOptimum {
        var copy = self
        copy.optimum = .found(best)
        return copy
    }

    /// Returns the fitted loss, the mean over seeds, at ln(rate); nil outside the fitted rates.
    package func fittedLoss(at logRate: Double) -> Double? {
        guard let valley, let best = optimum.best, let bounds, bounds.contains(logRate) else {
            return nil
        }
        return best.loss + valley.loss(at: logRate - best.logRate)
    }

    /// Returns the best rates of the grid's batches, sorted by batch.
    package static func optima(
        _ grid: [TrainedPoint], design: Design, settings: AnalysisSettings
    ) -> [BatchOptimum] {
        all(BatchLosses.all(grid, design: design), settings: settings).0
    }

    /// Returns the best rates of batches and the valley that they share.
    static func all(
        _ losses: [BatchLosses], settings: AnalysisSettings
    ) -> ([BatchOptimum], SharedValley?) {
        let (windows, valley) = fitted(losses, settings: settings)
        let optima = zip(losses, windows).map {
            BatchOptimum($0, window: $1, valley: valley, settings: settings)
        }
        return (optima, valley)
    }

    /// The greatest number of halvings of the window, to 0.2 % of the least loss.
    private static let halvings = 5

    /// Returns the window of each batch and the valley that fits the losses in them.
    ///
    /// Far from the best rate, losses saturate, and no valley fits them. The windows are halved
    /// until one fits, or until a valley with as many parameters as rates would fit anything. The
    /// parameters are a best rate and a least loss for each batch, a curvature and an asymmetry.
    private static func fitted(
        _ losses: [BatchLosses], settings: AnalysisSettings
    ) -> ([RateWindow], SharedValley?) {
        var settings = settings
        var windows = losses.map { RateWindow($0, settings) }
        var valley = SharedValley(losses, windows, settings: settings)
        for _ in 0..<halvings where valley?.fitsPoorly ?? false {
            settings.window /= 2
            let narrower = losses.map { RateWindow($0, settings) }
            guard let fit = SharedValley(losses, narrower, settings: settings),
                fit.rateCount > 2 * fit.batches.count + 2
            else { break }
            (windows, valley) = (narrower, fit)
        }
        return (windows, valley)
    }

    /// Returns the optimum of a batch without a valley.
    ///
    /// - Parameter noise: the noise of a run at the batches with a valley, or nil if there are none.
    private static func unfitted(
        _ losses: BatchLosses, _ window: RateWindow, noise: Double?, level: Double
    ) -> RateOptimum {
        switch window.state {
        case .belowDivergence(let resolution):
            let entry = losses.entries.filter(\.loss.isFinite).min { $0.loss < $1.loss }
            guard let entry else { return .insufficient }
            return .found(
                BestRate(
                    logRate: entry.logRate, loss: entry.loss,
                    error: losses.seeds.count < 2
                        ? nil : .init(value: 0, degreesOfFreedom: losses.seeds.count - 1),
                    resolution: resolution, level: level))
        case .unbracketed(let side): return .unbracketed(side)
        case .insufficient: return .insufficient
        case .bracketed:
            let known = [noise, window.noise?.variance.squareRoot()].compactMap(\.self)
            guard let noise = known.max(), let bounds = window.bounds else { return .flat }
            return losses.risesOnBothSides(in: bounds, noise: noise) ? .misfit : .flat
        case .flat: return .flat
        }
    }

    /// The rates to which the valley was fitted, because they show the best rate. Without a valley
    /// they are all rates of the grid.
    var usefulRates: [Double] {
        guard let bounds else { return grid.rates }
        let inside = grid.rates.filter {
            bounds.contains(log($0)) || isSameRate(log($0), bounds.lowerBound)
                || isSameRate(log($0), bounds.upperBound)
        }
        return inside.isEmpty ? grid.rates : inside
    }

    /// The runs that would show the best rate of this batch, or nil if it is known.
    package var decidingRuns: DecidingRuns? {
        switch optimum {
        case .found: return nil
        case _ where unfinished != nil: return unfinished
        case .unbracketed(let side): return .rates(grid.further(to: side), batch: batch)
        case .misfit: return runsWithin
        case .flat where seeds.count < fewestUsefulSeeds:
            return .seeds(fewestUsefulSeeds - seeds.count, batches: [batch])
        case .flat:
            // The loss rises with the square of the distance, so rates further out show the valley
            // with far fewer runs than more seeds would. But where the loss at the edge already
            // exceeds the window, they would lie outside it, too.
            let rates = openSides.flatMap { grid.further(to: $0) }
            return rates.isEmpty ? runsWithin : .rates(rates, batch: batch)
        case .insufficient:
            let side: Side = grid.divergingRate == nil ? .above : .below
            let rates = grid.further(to: side)
            return rates.isEmpty ? .longer(batches: [batch]) : .rates(rates, batch: batch)
        }
    }

    /// The runs that would show a valley inside the window: rates between those of the grid, or
    /// another seed if the grid is fine enough.
    private var runsWithin: DecidingRuns { runsNextToBest ?? .seeds(1, batches: [batch]) }

    /// The runs that show the valley's form next to the best rate; nil if the grid is fine enough.
    var runsNextToBest: DecidingRuns? {
        let rates = grid.between
        return rates.isEmpty ? nil : .rates(rates, batch: batch)
    }

    /// Returns the number of seeds at the rate of the grid that is nearest to ln(rate), or at the
    /// one on the other side if that has fewer.
    func seedCount(near logRate: Double) -> Int {
        let entries = typical.entries
        let above = entries.firstIndex { $0.logRate >= logRate - 1e-9 } ?? entries.count - 1
        guard entries.indices.contains(above) else { return 0 }
        let isOn = isSameRate(entries[above].logRate, logRate) || above == 0
        return isOn ? counts[above] : min(counts[above], counts[above - 1])
    }

    func seed(_ seed: UInt64) -> SeedOptimum? { seeds.first { $0.seed == seed } }

    /// The rate of the grid whose runs represent this batch. It is the rate nearest to the best one
    /// in ln(rate), or the one with the least typical loss if there is no best one.
    package var gridRate: Double? {
        guard let best = optimum.best else { return grid.leastLossRate }
        return grid.rates.min { abs(log($0) - best.logRate) < abs(log($1) - best.logRate) }
    }
}
