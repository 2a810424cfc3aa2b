import Glibc
import Statistics

/// The batch at which steps and tokens to a target loss trade evenly.
///
/// Steps S and tokens E lie on the hyperbola (S / Smin - 1)(E / Emin - 1) = 1, that is
/// S = Smin (1 + Bcrit / B) and E = Emin (1 + B / Bcrit) with Bcrit = Emin / Smin, all in tokens
/// (McCandlish et al. 2018, equations 2.11 and 2.12). Fitted to ln(S).
package struct CriticalBatch: Sendable, Equatable {
    /// What the intervals rest on.
    package enum Basis: Sendable, Equatable {
        /// A fit for each seed, and Student's t over so many seeds, in logarithms; or the
        /// covariance of one fit of their means where that is wider.
        case seeds(Int)
        /// One fit's covariance.
        case covariance
        /// There are none: the critical batch lies beyond the batches that were trained.
        case none
    }

    /// Smin: what no batch, however large, can do with less.
    package let leastSteps: Estimate
    /// Emin: what no batch, however small, can do with less.
    package let leastTokens: Estimate
    /// Bcrit = Emin / Smin, in tokens: twice the least tokens, and twice the least steps
    /// (McCandlish et al. 2018).
    package let tokens: Estimate
    /// Bcrit in sequences.
    package let sequences: Estimate
    /// The same hyperbola where a run costs 20 % more than the least tokens, Bcrit / 5: the
    /// convention of Zhang et al. 2024. In sequences.
    package var twentyPercentSequences: Estimate { sequences.mapped { $0 / 5 } }
    /// The side on which Bcrit lies so far outside the batches that they do not show it.
    package let outside: Side?
    package let basis: Basis

    /// Nil with fewer than three batches that reach the target, in steps that are measured.
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
            // Where the hyperbola misses the batches by more than seeds differ, its own standard
            // error says more of how far it may be off.
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
