import Experiments
import Foundation
import Testing

/// Tests of findings from a run's curve.
@Suite struct RegimeCurveTests {
    /// Returns a run of 100 steps whose validation loss is a function of the completed part.
    private func curve(
        _ regime: Regime, diverged: Bool = false, _ loss: (Double) -> Double
    ) -> RegimeCurve {
        let snapshots = stride(from: 0, through: 100, by: 5).map { step in
            RegimeCurve.Snapshot(
                step: step, validationLoss: loss(Double(step) / 100), x: 0, y: 0, distance: 0)
        }
        return RegimeCurve(
            regime: regime, learningRate: 1e-3, losses: [Double](repeating: 3, count: 100),
            snapshots: snapshots, hasDiverged: diverged)
    }

    @Test("each shape of the curve has its sentence")
    func eachShapeHasItsSentence() {
        let best = 2.0
        let good = curve(.good) { 2 + 2 * exp(-10 * $0) }
        #expect(good.ending(best: best) == .lowest)
        let slow = curve(.small) { 4 - 0.8 * $0 }
        #expect(slow.ending(best: best) == .falling)
        #expect(slow.sentence(best: best).hasSuffix("1.2 above the lowest, and still falls."))
        let stuck = curve(.large) { $0 == 0 ? 4 : 3.1 }
        #expect(stuck.ending(best: best) == .stuck)
        #expect(stuck.sentence(best: best).contains("is too large: "))
        let above = curve(.large) { 4 + $0 }
        #expect(above.ending(best: best) == .above)
        #expect(above.sentence(best: best).contains("ends at 5, above the 4"))
        let diverged = curve(.large, diverged: true) { 4 - $0 }
        #expect(diverged.ending(best: best) == .diverged)
        #expect(diverged.sentence(best: best).contains("no longer finite"))
    }

    /// The curve decides the sentence, not the intention behind the rate.
    @Test("a rate that looks different than intended is reported")
    func unexpectedRateIsReported() {
        let sentence = curve(.small) { 2 + 2 * exp(-10 * $0) }.sentence(best: 2)
        #expect(sentence.contains("was meant to be too small, but looks good"))
        #expect(sentence.hasSuffix("give other --rates."))
    }

    /// A fall of four nats allows for a twentieth of it.
    @Test("the lowest loss has a tolerance")
    func theLowestHasATolerance() {
        #expect(curve(.good) { 6 - 3.81 * $0 }.ending(best: 2) == .lowest)
        #expect(curve(.good) { 6 - 3.79 * $0 }.ending(best: 2) == .falling)
    }
}
