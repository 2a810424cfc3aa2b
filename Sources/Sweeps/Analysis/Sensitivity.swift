import Glibc
import Statistics

/// How much a badly chosen rate costs at one batch (Wortsman et al. 2023, section 2.2).
///
/// The mean over ln(rate) of min(loss, initial loss) - least loss, in nats, by the trapezoidal
/// rule: so rates that a grid has close together weigh no more. It depends on the range of rates,
/// so only batches with the same range compare.
package struct Sensitivity: Sendable, Equatable {
    package let batch: Int
    /// The mean over seeds with Student's interval, which ends at 0.
    package let value: Estimate
    package let lowestRate: Double
    package let highestRate: Double

    /// Nil where a batch has no run that did not diverge.
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
        batch = optimum.batch
        let mean = Sample(values).meanEstimate(level: level)
        value = Estimate(mean.value, interval: mean.interval?.mapped { max(0, $0) })
        lowestRate = exp(lowest)
        highestRate = exp(highest)
    }

    /// The mean of y over x, by rising x; of a single one itself.
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
