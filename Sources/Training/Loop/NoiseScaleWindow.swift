import Glibc
import Statistics
import Telemetry

/// The simple noise scale of recent steps, B_simple = S / |G|^2: the batch at which the gradient's
/// noise is as large as the gradient (McCandlish et al. 2018, equation 2.9).
package enum NoiseScale: Sendable, Equatable {
    /// The interval of |G|^2 holds 0, so that the ratio could be anything.
    case undetermined
    /// In sequences.
    case determined(sequences: Double, interval: Interval)
}

/// The last steps' estimates of a gradient's noise, averaged.
///
/// S and |G|^2 are averaged separately and divided afterwards: a step's own ratio is biased, and
/// infinite where noise takes |G|^2 to 0. The interval comes from a jackknife over blocks of steps.
package struct NoiseScaleWindow {
    /// Steps that are averaged: enough for |G|^2 to stand out, few enough to follow the training.
    package static let capacity = 100
    /// Steps before there is an estimate: two a block.
    package static let fewest = 2 * blocks
    /// Of several steps each, because a step's parameters are nearly the step's before.
    package static let blocks = 10
    package static let level = 0.95

    private var variances: [Double] = []
    private var signals: [Double] = []

    package init() {}

    /// Takes a line of the log of a resumed run, so that the window is that of an uninterrupted run.
    package mutating func recall(_ record: MetricsRecord) {
        guard let variance = record["gradient_variance"], let signal = record["gradient_signal"]
        else { return }
        add(variance: variance, signal: signal)
    }

    /// Takes a step's estimates; what is not finite is left out.
    package mutating func add(variance: Double, signal: Double) {
        guard variance.isFinite, signal.isFinite else { return }
        if variances.count == Self.capacity {
            variances.removeFirst()
            signals.removeFirst()
        }
        variances.append(variance)
        signals.append(signal)
    }

    /// The estimate; nil before there are steps enough for one.
    package var estimate: NoiseScale? {
        guard variances.count >= Self.fewest else { return nil }
        let signal = jackknife(
            [signals], blockCount: Self.blocks, level: Self.level, statistic: { $0[0] })
        // In logarithms: a ratio's errors are factors, and its ends stay above 0.
        let ratio = jackknife(
            [variances, signals], blockCount: Self.blocks, level: Self.level,
            statistic: { log($0[0] / $0[1]) })
        guard let signal, let ratio, signal.interval.lower > 0 else {
            return .undetermined
        }
        return .determined(
            sequences: exp(ratio.biasCorrected), interval: ratio.interval.mapped { exp($0) })
    }
}
