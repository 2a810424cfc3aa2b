import Glibc
import Statistics

/// The average cost of a badly chosen rate at one batch (Wortsman et al. 2023, section 2.2).
///
/// It is the mean over ln(rate) of min(loss, initial loss) - least loss, in nats. The mean is an
/// integral by the trapezoidal rule, so rates that are close together do not weigh more. It depends
/// on the range of the rates, so only batches with the same range are comparable.
package struct Sensitivity: Sendable, Equatable {
    package let batch: Int
    /// The mean over seeds with Student's interval, cut off at 0.
    package let value: Estimate
    package let lowestRate: Double
    package let highestRate: Double

    /// Measures the sensitivity of a batch.
    ///
    /// Returns nil if every run of the batch diverged, or if a diverged run has no initial loss.
    init?(_ optimum: BatchOptimum, level: Double) {
        let values: [Double] = optimum.seeds.compactMap { seed in
            guard let least = seed.losses.finite.map(\.loss).min() else { return nil }
            return Self.mean(
                of: seed.losses.entries.map {
                    ($0.logRate, min($0.loss, $0.initialLoss) - least)
                })
        }
        let rates = optimum.seeds.flatMap { $0.losses.entries.map(\.logRate) }
        guard !values.isEmpty, let lowest = rates.min(), let highest = rates.max() else {
            return nil
        }
        let mean = Sample(values).meanEstimate(level: level)
        guard mean.value.isFinite else { return nil }
        batch = optimum.batch
        value = Estimate(mean.value, interval: mean.interval?.mapped { max(0, $0) })
        lowestRate = exp(lowest)
        highestRate = exp(highest)
    }

    /// Returns the mean of y over x by the trapezoidal rule, or the only y if there is one point.
    ///
    /// - Parameter points: the points, sorted by x.
    private static func mean(of points: [(x: Double, y: Double)]) -> Double {
        guard let first = points.first, let last = points.last, last.x > first.x else {
            return points.first?.y ?? 0
        }
        let area = zip(points, points.dropFirst()).reduce(0) { sum, pair in
            sum + (pair.1.x - pair.0.x) * (pair.0.y + pair.1.y) / 2
        }
        return area / (last.x - first.x)
    }
}
