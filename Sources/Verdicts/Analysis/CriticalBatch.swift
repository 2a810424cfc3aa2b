import Glibc
import Statistics

/// The batch at which a run to a target loss takes twice the least steps and twice the least
/// tokens.
///
/// Steps S and tokens E lie on the hyperbola (S / Smin - 1)(E / Emin - 1) = 1. In other words,
/// S = Smin (1 + Bcrit / B) and E = Emin (1 + B / Bcrit) with Bcrit = Emin / Smin, with batches in
/// tokens (McCandlish et al. 2018, equations 2.11 and 2.12). The first equation is fitted to ln(S).
package struct CriticalBatch: Sendable, Equatable {
    /// The source of the intervals.
    package enum Basis: Sendable, Equatable {
        /// The spread of the fits of this many seeds, in logarithms, with Student's t. The intervals
        /// are at least as wide as those from the covariance of one fit to the means over seeds.
        case seeds(Int)
        /// The covariance of one fit.
        case covariance
        /// There are no intervals, because the fit leaves no degree of freedom, or because the
        /// critical batch lies outside the batches that were trained.
        case none
    }

    /// Smin, the number of steps below which no batch reaches the target.
    package let leastSteps: Estimate
    /// Emin, the number of tokens below which no batch reaches the target.
    package let leastTokens: Estimate
    /// Bcrit = Emin / Smin in tokens.
    package let tokens: Estimate
    /// Bcrit in sequences.
    package let sequences: Estimate
    /// The batch, in sequences, at which a run takes 20 % more than the least tokens. It is Bcrit /
    /// 5 (the convention of Zhang et al. 2024).
    package var twentyPercentSequences: Estimate { sequences.mapped { $0 / 5 } }
    /// The side on which Bcrit lies so far outside the batches that they do not show it, or nil if
    /// they show it.
    package let outside: Side?
    package let basis: Basis

    /// The ratio of an interval's ends above which the critical batch is undetermined.
    private static let widestInterval = 100.0

    /// The interval of Bcrit in sequences if it is too wide to determine Bcrit, otherwise nil.
    package var undeterminedInterval: Interval? {
        sequences.interval.flatMap { $0.upper > Self.widestInterval * $0.lower ? $0 : nil }
    }

    /// Fits the hyperbola.
    ///
    /// Returns nil if fewer than three batches reach the target in a measured number of steps.
    init?(_ costs: [BatchCost], level: Double) {
        let reached = costs.filter { $0.steps != nil && !$0.isUpperBound }
        let sizes = reached.compactMap(\.tokensPerStep)
        guard reached.count >= 3, sizes.count == reached.count,
            let fit = Self.fit(sizes, reached.compactMap { $0.steps?.value }, level)
        else { return nil }
        let seeds = Set(reached.flatMap(\.stepsBySeed.keys)).sorted()
        let fits = seeds.compactMap { seed -> ScaleFit? in
            let steps = reached.compactMap { $0.stepsBySeed[seed] }
            return steps.count == reached.count ? Self.fit(sizes, steps, level) : nil
        }
        let contextLength = sizes[0] / Double(reached[0].batch)
        outside = fit.scaleOutside
        let logSteps: Estimate
        let logTokens: Estimate
        let logScale: Estimate
        if fit.scaleOutside == nil, fits.count >= 2, fits.allSatisfy({ $0.scaleOutside == nil }) {
            basis = .seeds(fits.count)
            // If the batches scatter around the hyperbola by more than seeds differ, the standard
            // error of the fit is the better measure of its uncertainty.
            func over(_ value: (ScaleFit) -> Double, _ covariance: Estimate) -> Estimate {
                let half = (covariance.interval?.width ?? 0) / 2
                let t = { StudentT.twoSided(level: level, degreesOfFreedom: $0) }
                return Sample(fits.map(value)).meanEstimate(level: level)
                    .widened(atLeast: half * t(fits.count - 1) / t(max(1, fit.degreesOfFreedom)))
            }
            logSteps = over({ $0.offset.value }, fit.offset)
            logScale = over({ $0.logScale.value }, fit.logScale)
            logTokens = over({ $0.offset.value + $0.logScale.value }, fit.offsetAndScale)
        } else {
            basis = fit.scaleOutside == nil && fit.logScale.interval != nil ? .covariance : .none
            logSteps = fit.offset
            logScale = fit.logScale
            logTokens = fit.offsetAndScale
        }
        leastSteps = logSteps.mapped(exp)
        tokens = logScale.mapped(exp)
        sequences = logScale.mapped { exp($0) / contextLength }
        leastTokens = logTokens.mapped(exp)
    }

    private static func fit(_ sizes: [Double], _ steps: [Double], _ level: Double) -> ScaleFit? {
        ScaleFit(x: sizes, y: steps.map { log($0) }, level: level) { softplus($0) }
    }
}
