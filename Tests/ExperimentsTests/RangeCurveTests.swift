import Experiments
import Foundation
import Support
import TestSupport
import Testing

/// Tests of curves of the range test.
@Suite struct RangeCurveTests {
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
        #expect(LossSmoothing(steps: 100).beta == 0.8)
        // The weight that a loss has left after a tenth of the ramp.
        let (short, long) = (LossSmoothing(steps: 200).beta, LossSmoothing(steps: 2000).beta)
        #expect(abs(pow(short, 20) - pow(long, 200)) < 0.02)
        #expect(LossSmoothing(steps: 10).beta == 0, "a short ramp is not smoothed")
    }

    @Test("averages are the weighted means of all losses so far", arguments: [0, 0.8, 0.99])
    func averages(beta: Double) {
        let losses = [4, 3.5, 6, 2, 2.25, 9, 1]
        var smoothing = LossSmoothing(beta: beta)
        for count in 1...losses.count {
            let weights = (0..<count).map { pow(beta, Double(count - 1 - $0)) }
            let mean = zip(weights, losses).reduce(0) { $0 + $1.0 * $1.1 } / weights.reduce(0, +)
            #expect(abs(smoothing.add(losses[count - 1]) / mean - 1) < 1e-14)
        }
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
        // The average of 30 losses of 2 and one loss of x has x with weight 0.2 / (1 - 0.8^31).
        let weight = 0.2 / (1 - pow(0.8, 31))
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
        // There are 40 finite losses; the first ten are not considered.
        #expect(curve.considered.count == 30)
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

    @Test("probes begin where the loss has fallen by half, on falls of any size and place")
    func startingRate() throws {
        let ramp = try RateRamp(from: 1e-6, to: 1, steps: 600)
        for (middle, fall) in [(200.0, 1.0), (300, 0.01), (450, 3)] {
            let losses = (0..<600).map { 4 - fall / (1 + exp(-(Double($0) - middle) / 10)) }
            let curve = RangeCurve(ramp, losses: losses)
            #expect(abs(try #require(curve.fall) / fall - 1) < 0.02)
            // The average over thirty steps has half of a change after 30 ln 2 steps.
            let expected = ramp.rate(ofStep: Int(middle) + 21)
            let rate = try #require(curve.startingRate)
            #expect(abs(log(rate / expected)) < log(ramp.rate(ofStep: 5) / ramp.from))
        }
    }

    @Test("a curve that does not fall by more than noise has no starting rate")
    func flatCurveHasNoStartingRate() throws {
        let ramp = try RateRamp(from: 1e-7, to: 10, steps: 100)
        var starts = 0
        for seed in 0..<300 {
            var generator = SeededNoise(seed: UInt64(seed))
            let losses = (0..<100).map { _ in 4 + 0.1 * generator.normal() }
            if RangeCurve(ramp, losses: losses).startingRate != nil { starts += 1 }
        }
        // The threshold is four standard deviations of a noise that is itself estimated from 90
        // losses.
        #expect(starts <= 3, "\(starts) of 300")
        #expect(RangeCurve(ramp, losses: .init(repeating: 3, count: 100)).startingRate == nil)
        #expect(RangeCurve(ramp, losses: (0..<100).map(Double.init)).startingRate == nil)
    }

    @Test("noise does not hide a fall of a few times its size")
    func fallsThroughNoise() throws {
        let ramp = try RateRamp(from: 1e-7, to: 10, steps: 100)
        for seed in 0..<50 {
            var generator = SeededNoise(seed: UInt64(seed))
            let losses = (0..<100).map {
                4 - 0.6 / (1 + exp(-(Double($0) - 50) / 4)) + exp((Double($0) - 85) / 3)
                    + 0.1 * generator.normal()
            }
            let rate = try #require(
                RangeCurve(ramp, losses: losses).startingRate, "seed \(seed)")
            #expect(ramp.rate(ofStep: 40) < rate && rate < ramp.rate(ofStep: 65), "seed \(seed)")
        }
    }
}
