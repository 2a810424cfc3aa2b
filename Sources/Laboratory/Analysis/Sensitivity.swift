import Statistics

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// How much a badly chosen rate costs at one batch (Wortsman et al. 2023, section 2.2).
///
/// The mean over the grid's rates of min(loss, initial loss) - least loss, in nats. It depends on the
/// range of rates, so only batches with the same range compare.
package struct Sensitivity: Sendable, Equatable {
    package let batch: Int
    /// The mean over seeds with Student's interval.
    package let value: Estimate
    package let lowestRate: Double
    package let highestRate: Double

    /// Nil where a batch has no run that did not diverge.
    init?(_ optimum: BatchOptimum, level: Double) {
        let values: [Double] = optimum.seeds.compactMap { seed in
            guard let least = seed.losses.finite.map(\.loss).min() else { return nil }
            return Sample(
                seed.losses.entries.map { min($0.loss, $0.initialLoss) - least }
            ).mean
        }
        let rates = optimum.seeds.flatMap { $0.losses.entries.map(\.logRate) }
        guard !values.isEmpty, let lowest = rates.min(), let highest = rates.max() else {
            return nil
        }
        batch = optimum.batch
        value = Sample(values).meanEstimate(level: level)
        lowestRate = exp(lowest)
        highestRate = exp(highest)
    }
}
