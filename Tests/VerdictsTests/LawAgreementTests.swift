import Foundation
import TestSupport
import Testing
import Verdicts

/// Tests that the finding about the law of the best rates agrees with the verdicts and with the
/// intervals of the best rates.
@Suite struct LawAgreementTests {
    @Test("a rule that holds although the exponent excludes it is named next to the exponent")
    func holdsWithinTolerance() throws {
        // At 128 the rule is off by 0.04 ln(16) = .11, which costs .0012 nats.
        let sweep = PlantedSweep(
            seeds: 6, bestRate: { 1e-3 * pow(Double($0) / 8, 0.54) }, lossNoise: 0.001,
            rateNoise: 0.01)
        let analysis = try sweep.analysis()
        #expect(try analysis.verdict("sqrt").conclusion == .holds(upTo: 128))
        try #require(!analysis.exponent.possibleExponents.contains(0.5))
        #expect(
            analysis.exponentSentence == analysis.exponent.sentence
                + " Still, sqrt holds up to B = 128: its rates are not exactly the best ones, but "
                + "the regrets are within the tolerance.")
        let exact = try PlantedSweep(rateNoise: 0.02).analysis()
        try #require(exact.exponent.possibleExponents.contains(0.5))
        #expect(exact.exponentSentence == exact.exponent.sentence)
    }

    /// Returns whether a fine scan finds a power law through the intervals of all best rates.
    private func isLawInIntervals(_ analysis: DesignAnalysis) -> Bool {
        let ranges = analysis.optima.compactMap { optimum in
            optimum.optimum.best?.interval.map {
                (x: log(Double(optimum.batch)), low: log($0.lower), high: log($0.upper))
            }
        }
        return stride(from: -2.0, through: 2, by: 0.002).contains { slope in
            let lows = ranges.map { $0.low - slope * $0.x }
            let highs = ranges.map { $0.high - slope * $0.x }
            return (lows.max() ?? 0) <= (highs.min() ?? 0)
        }
    }

    @Test("the finding says why no power law fits although one passes through every interval")
    func lawWithinIntervals() throws {
        var (within, outside) = (0, 0)
        for bend in [0.2, 0.3, 0.4] {
            for noise in UInt64(1)...30 {
                let sweep = PlantedSweep(
                    batches: [8, 16, 32], seeds: 3, curvature: 0.3,
                    bestRate: {
                        $0 == 32 ? 2e-3 * exp(bend) : 1e-3 * (Double($0) / 8).squareRoot()
                    },
                    lossNoise: 0.002, rateNoise: 0.06)
                let analysis = try sweep.analysis(noise: noise)
                guard !analysis.exponent.fits else { continue }
                let isWithin = isLawInIntervals(analysis)
                let sentence = analysis.exponent.sentence
                #expect(
                    sentence.contains(" A power law passes through all their intervals, but ")
                        == isWithin, "\(sentence)")
                within += isWithin ? 1 : 0
                outside += isWithin ? 0 : 1
            }
        }
        #expect(within > 0 && outside > 0, "\(within) and \(outside)")
    }
}
