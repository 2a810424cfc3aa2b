import Glibc

/// The rates with which a planned sweep trains the seeds of a batch.
struct SeedRates {
    /// Up to three rates that show a seed's best rate: near the batch's best rate, and on both
    /// sides of it.
    let usual: [Double]
    /// The rates between them, which show the valley's form.
    let between: [Double]

    /// The height of the outer two rates on the valley, in units of the tolerance. They show where
    /// the valley's middle is best where it is steep, but its form is known only near the best rate.
    private static let height = 5.0
    /// The distances within which an outer rate is sought, in steps. A nearer rate would tell the
    /// same as the middle one, and a farther one little about the place of the best rate.
    private static let outerSteps = 0.25...2.5
    /// The least distance of an outer rate from the middle one, in steps, after both are rounded to
    /// known rates. A neighbor of the middle rate replaces a nearer one.
    private static let leastSteps = 0.2

    /// Chooses the rates of a batch.
    ///
    /// - Parameter step: ln(ratio of neighboring rates).
    init(_ optimum: BatchOptimum, _ valley: SharedValley?, step: Double, tolerance: Double) {
        let all = optimum.typical.finite.map(\.logRate)
        guard let least = optimum.typical.finite.min(by: { $0.loss < $1.loss }) else {
            (usual, between) = ([], [])
            return
        }
        /// Returns the known rate within half a step of ln(rate), otherwise the nearest one of the
        /// grid that the known rates continue.
        func nearest(_ logRate: Double) -> Double {
            let near = all.min { abs($0 - logRate) < abs($1 - logRate) } ?? logRate
            return near + ((logRate - near) / step).rounded() * step
        }
        func distance(_ sign: Double) -> Double {
            guard let valley, let place = valley.place(of: optimum.batch) else { return step }
            var (near, far) = (
                Self.outerSteps.lowerBound * step, Self.outerSteps.upperBound * step
            )
            for _ in 0..<40 {
                let middle = (near + far) / 2
                let height = valley.excess(place, at: sign * middle).range.upperBound
                if height < Self.height * tolerance { near = middle } else { far = middle }
            }
            return near
        }
        /// Returns the nearest rate within the window that the valley is fitted to.
        func inWindow(_ logRate: Double) -> Double {
            guard let bounds = optimum.bounds else { return logRate }
            return min(max(logRate, bounds.lowerBound), bounds.upperBound)
        }
        let center = optimum.optimum.best?.logRate ?? least.logRate
        let middle = nearest(center)
        func outer(_ sign: Double) -> Double {
            let rate = nearest(inWindow(center + sign * distance(sign)))
            guard sign * (rate - middle) < Self.leastSteps * step else { return rate }
            let others = all.filter { sign * ($0 - middle) > Self.leastSteps * step }
            return others.min { abs($0 - middle) < abs($1 - middle) } ?? middle + sign * step
        }
        let (below, above) = (outer(-1), outer(1))
        let limit = optimum.grid.divergingRate.map { log($0) - 1e-6 } ?? .infinity
        let rates = [below, middle, above].filter { $0 < limit }
        // Next to a rate that diverges, the second rate below the best one replaces the one above.
        let lowest = rates.count < 3 ? [nearest(below - step)] : []
        let sorted = Set(lowest + rates).sorted()
        usual = sorted.map { exp($0) }
        between = zip(sorted, sorted.dropFirst()).map { exp(($0 + $1) / 2) }
    }
}
