import Experiments
import Foundation
import Testing

/// Tests of findings from a run's curve.
@Suite struct RegimeCurveTests {
    /// Returns a run of 100 steps whose validation loss is a function of the completed part.
    private func curve(
        _ regime: Regime, rate: Double = 1e-3, diverged: Bool = false,
        _ loss: (Double) -> Double
    ) -> RegimeCurve {
        let snapshots = stride(from: 0, through: 100, by: 5).map { step in
            RegimeCurve.Snapshot(
                step: step, validationLoss: loss(Double(step) / 100), x: 0, y: 0, distance: 0)
        }
        return RegimeCurve(
            regime: regime, learningRate: rate, losses: [Double](repeating: 3, count: 100),
            snapshots: snapshots, hasDiverged: diverged)
    }

    private static let remedy = "give other --rates"

    @Test("each shape of the curve has its sentence")
    func eachShapeHasItsSentence() {
        let best = 2.0
        let good = curve(.good) { 2 + 2 * exp(-10 * $0) }
        func sentence(_ curve: RegimeCurve) -> String {
            curve.sentence(best: good, remedy: Self.remedy)
        }
        #expect(good.ending(best: best) == .lowest)
        let slow = curve(.small, rate: 1e-4) { 4 - 0.8 * $0 }
        #expect(slow.ending(best: best) == .falling)
        #expect(sentence(slow).hasSuffix("1.2 above the lowest, and still falls."))
        let stuck = curve(.large, rate: 1e-2) { $0 == 0 ? 4 : 3.1 }
        #expect(stuck.ending(best: best) == .stuck)
        #expect(sentence(stuck).contains("is too large: "))
        let above = curve(.large) { 4 + $0 }
        #expect(above.ending(best: best) == .above)
        #expect(sentence(above).contains("ends at 5, above the 4"))
        let diverged = curve(.large, diverged: true) { 4 - $0 }
        #expect(diverged.ending(best: best) == .diverged)
        #expect(sentence(diverged).contains("no longer finite"))
    }

    /// The curve decides the sentence, not the intention behind the rate.
    @Test("a rate that looks different than intended is reported")
    func unexpectedRateIsReported() {
        let small = curve(.small) { 2 + 2 * exp(-10 * $0) }
        let sentence = small.sentence(best: small, remedy: Self.remedy)
        #expect(sentence.contains("was meant to be too small, but looks good"))
        #expect(sentence.hasSuffix("give other --rates."))
    }

    @Test("a worse rate above the best one is too large, even if its loss still falls")
    func aLargeRateRecovers() {
        let good = curve(.good) { 2 + 2 * exp(-10 * $0) }
        let falling = curve(.large, rate: 1) { 4 - 0.8 * $0 }
        #expect(
            falling.sentence(best: good, remedy: Self.remedy)
                == "The rate 1 is too large, although the run recovers: after 100 steps the loss is "
                + "3.2, 1.2 above the lowest, and still falls.")
        let low = curve(.small, rate: 1e-4) { $0 == 0 ? 4 : 3.1 }
        #expect(low.sentence(best: good, remedy: Self.remedy).contains("e-4 is too small: "))
        let chosen = curve(.good, rate: 1e-2) { 4 - 0.8 * $0 }
            .sentence(best: good, remedy: "give more --probe-steps")
        #expect(
            chosen.contains("was meant to be good, but looks too large, although the run recovers"))
        #expect(chosen.hasSuffix("; give more --probe-steps."))
    }

    /// A fall of four nats allows for a twentieth of it.
    @Test("the lowest loss has a tolerance")
    func theLowestHasATolerance() {
        #expect(curve(.good) { 6 - 3.81 * $0 }.ending(best: 2) == .lowest)
        #expect(curve(.good) { 6 - 3.79 * $0 }.ending(best: 2) == .falling)
    }
}
