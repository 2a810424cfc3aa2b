import Glibc
import Statistics
import Telemetry

/// The simple noise scale of recent steps, B_simple = S / |G|^2: the batch size at which the
/// gradient's noise is as large as the gradient (McCandlish et al. 2018, equation 2.9).
package enum NoiseScale: Sendable, Equatable {
    /// The interval of |G|^2 contains 0, so the ratio could have any value.
    case undetermined
    /// The noise scale in sequences, with its interval.
    case determined(sequences: Double, interval: Interval)
}

/// The average of the last steps' estimates of the gradient's noise.
///
/// S and |G|^2 are averaged separately and divided afterward, because a single step's ratio is
/// biased and becomes infinite if noise makes |G|^2 zero. A jackknife over blocks of steps gives
/// the interval.
package struct NoiseScaleWindow {
    /// The number of steps that are averaged: enough for |G|^2 to exceed its noise, few enough to
    /// follow the training.
    package static let capacity = 100
    /// The number of steps required for an estimate: two per block.
    package static let fewest = 2 * blocks
    /// The number of blocks. A block has several steps, because the parameters hardly change from
    /// one step to the next.
    package static let blocks = 10
    package static let level = 0.95

    private var variances = TrailingValues(capacity: capacity)
    private var signals = TrailingValues(capacity: capacity)

    package init() {}

    /// Adds a line of a resumed run's log, so that the window equals that of an uninterrupted run.
    package mutating func recall(_ record: MetricsRecord) {
        guard let variance = record["gradient_variance"], let signal = record["gradient_signal"]
        else { return }
        add(variance: variance, signal: signal)
    }

    /// Adds a step's estimates, unless one of them is not finite.
    package mutating func add(variance: Double, signal: Double) {
        guard variance.isFinite, signal.isFinite else { return }
        variances.append(variance)
        signals.append(signal)
    }

    /// The estimate; nil if there are not enough steps yet.
    package var estimate: NoiseScale? {
        guard variances.count >= Self.fewest else { return nil }
        let signal = jackknife(
            [signals.values], blockCount: Self.blocks, level: Self.level, statistic: { $0[0] })
        // In logarithms, because a ratio's errors are factors and the interval must stay above 0.
        let ratio = jackknife(
            [variances.values, signals.values], blockCount: Self.blocks, level: Self.level,
            statistic: { log($0[0] / $0[1]) })
        guard let signal, let ratio, signal.interval.lower > 0 else { return .undetermined }
        return .determined(
            sequences: exp(ratio.biasCorrected), interval: ratio.interval.mapped { exp($0) })
    }
}
