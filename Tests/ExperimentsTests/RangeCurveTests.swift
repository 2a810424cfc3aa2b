import Experiments
import Foundation
import Support
import TestSupport
import Testing

@Suite("Curves of the range test")
struct RangeCurveTests {
    @Test("a ramp goes from its first to its last rate by factors or by differences")
    func ramps() throws {
        let geometric = try RateRamp(from: 1e-7, to: 10, steps: 100)
        let linear = try RateRamp(from: 1e-3, to: 1, steps: 11, shape: .linear)
        #expect(geometric.rate(ofStep: 0) == 1e-7 && geometric.rate(ofStep: 99) == 10)
        #expect(linear.rate(ofStep: 0) == 1e-3 && linear.rate(ofStep: 10) == 1)
        for step in 1..<100 {
            let factor = geometric.rate(ofStep: step) / geometric.rate(ofStep: step - 1)
            // The factor is the 99th root of 1e8; each power has its own rounding error.
            #expect(abs(factor / pow(1e8, 1.0 / 99) - 1) < 1e-12)
        }
        for step in 1..<11 {
            let difference = linear.rate(ofStep: step) - linear.rate(ofStep: step - 1)
            #expect(abs(difference - 0.0999) < 1e-15)
        }
    }

    @Test(
        "impossible ramps are refused with their option",
        arguments: [
            (0.0, 1.0, 100, "--from 0.0: "), (-1e-3, 1, 100, "--from -0.001: "),
            (.nan, 1, 100, "--from nan: "), (1e-3, .infinity, 100, "--to inf: "),
            (1, 1, 100, "--from 1.0: must be below --to 1.0; "),
            (2, 1, 100, "--from 2.0: must be below --to 1.0; "),
            (1e-3, 1, 9, "--steps 9: "), (1e-3, 1, -5, "--steps -5: "),
        ])
    func impossibleRamps(from: Double, to: Double, steps: Int, words: String) {
        do throws(Failure) {
            _ = try RateRamp(from: from, to: to, steps: steps)
            Issue.record("no failure for \(words)")
        } catch {
            #expect(error.code == .usage)
            #expect(error.sentence.hasPrefix(words), "\(error.sentence)")
        }
    }

    @Test("smoothing covers the same part of a ramp of any length")
    func beta() {
        #expect(LossSmoothing(steps: 100).beta == 0.98)
        // The weight that a loss has left after half of the ramp.
        #expect(abs(pow(LossSmoothing(steps: 1000).beta, 500) - pow(0.98, 50)) < 1e-12)
    }

    @Test("the variance of an average is that of its weights")
    func variance() {
        let smoothing = LossSmoothing(beta: 0.9)
        for count in [1, 2, 7, 300] {
            let weights = (0..<count).map { pow(0.9, Double($0)) }
            let sum = weights.reduce(0, +)
            let expected = weights.reduce(0) { $0 + $1 * $1 } / (sum * sum)
            #expect(abs(smoothing.varianceRatio(of: count) / expected - 1) < 1e-12)
        }
    }

    @Test("the curve ends if the smoothed loss exceeds four times its minimum")
    func divergence() throws {
        let ramp = try RateRamp(from: 1e-4, to: 1, steps: 100)
        // The average of 30 losses of 2 and one loss of x has x with weight 0.02 / (1 - 0.98^31).
        let weight = 0.02 / (1 - pow(0.98, 31))
        let edge = 2 + 6 / weight
        var losses = [Double](repeating: 2, count: 100)
        losses[30] = edge * 1.001
        let diverged = RangeCurve(ramp, losses: losses)
        #expect(diverged.ending == .diverged && diverged.points.count == 31)
        #expect(diverged.nextRate == nil)
        losses[30] = edge * 0.999
        #expect(RangeCurve(ramp, losses: losses).ending == .complete)
    }

    @Test("the curve ends at a loss or a gradient that is not finite", arguments: [true, false])
    func notFinite(isLoss: Bool) throws {
        var curve = RangeCurve(try RateRamp(from: 1e-4, to: 1, steps: 100))
        for _ in 0..<40 { curve.add(2) }
        #expect(curve.ending == nil)
        if isLoss { curve.add(.nan) } else { curve.add(2, isFinite: false) }
        #expect(curve.ending == .notFinite && curve.points.count == 41)
        // There are 40 finite losses; the first ten and the last five are not considered.
        #expect(curve.considered.count == 25)
        curve.add(2)
        #expect(curve.points.count == 41, "nothing follows")
    }

    @Test("noise is measured around a trend, without the trend itself")
    func noise() throws {
        let ramp = try RateRamp(from: 1e-4, to: 1, steps: 1000)
        var generator = SeededNoise(seed: 3)
        let noisy = (0..<1000).map { 5 - 0.003 * Double($0) + 0.1 * generator.normal() }
        // The median of a thousand second differences, three of which share a loss, has an error of
        // about 5 %; the limit is three times that.
        #expect(abs(RangeCurve(ramp, losses: noisy).noise / 0.1 - 1) < 0.15)
        let smooth = (0..<1000).map { 5 - 0.003 * Double($0) }
        #expect(RangeCurve(ramp, losses: smooth).noise < 1e-12)
    }
}
