import Experiments
import Foundation
import TestSupport
import Testing

@Suite("Recommendations of the range test")
struct RangeFindingTests {
    /// Returns the losses of gradient descent on 1 + the sum of L x^2 / 2 over some curvatures L.
    /// The first loss does not depend on the largest L; a rate above 2 / L of the largest L makes
    /// losses rise.
    private func descent(_ ramp: RateRamp, curvatures: [Double], noise: Double) -> RangeCurve {
        var curve = RangeCurve(ramp)
        var place = curvatures.map { _ in 1 / curvatures[0].squareRoot() }
        var generator = SeededNoise(seed: 11)
        while let rate = curve.nextRate {
            let loss = zip(curvatures, place).reduce(0) { $0 + $1.0 * $1.1 * $1.1 / 2 }
            curve.add(1 + loss + noise * generator.normal())
            for index in place.indices { place[index] *= 1 - rate * curvatures[index] }
        }
        return curve
    }

    @Test(
        "on a quadratic the suggested rate is below the limit of stability",
        arguments: [0.01, 1, 100, 1e4], [0, 0.01])
    func quadratic(curvature: Double, noise: Double) throws {
        let limit = 2 / curvature
        let ramp = try RateRamp(from: limit * 1e-6, to: limit * 100, steps: 200)
        let curve = descent(ramp, curvatures: [1, 0.3, 0.1].map { curvature * $0 }, noise: noise)
        #expect(curve.ending == .diverged)
        let finding = RangeFinding(curve)
        for suggestion in [finding.valley, finding.steepest, finding.tenthOfMinimum] {
            let rate = try #require(suggestion.rate)
            #expect(rate < limit, "\(suggestion) of \(limit)")
            #expect(rate > limit * 1e-4, "\(suggestion) of \(limit)")
        }
        let recommended = try #require(finding.recommendation.rate)
        #expect(recommended == min(finding.valley.rate ?? 0, finding.tenthOfMinimum.rate ?? 0))
    }

    @Test("losses without a trend rarely get a recommendation")
    func noiseOnly() throws {
        let ramp = try RateRamp(from: 1e-7, to: 10, steps: 100)
        var recommended = 0
        for seed in 0..<300 {
            var generator = SeededNoise(seed: UInt64(seed))
            let losses = (0..<100).map { _ in 4 + 0.1 * generator.normal() }
            let finding = RangeFinding(RangeCurve(ramp, losses: losses))
            if finding.recommendation.rate != nil { recommended += 1 }
            if finding.valley.rate == nil {
                #expect(finding.valley == .none(.neverFalls))
                let reason = finding.recommendation.reason
                #expect(["never falls", "rises before it has"].contains { reason.contains($0) })
                #expect(finding.recommendation.reason.contains("--steps"))
            }
        }
        // The threshold is four standard deviations of a noise that is itself estimated from 85
        // losses.
        #expect(recommended <= 3, "\(recommended) of 300")
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
            let finding = RangeFinding(RangeCurve(ramp, losses: losses))
            #expect(finding.recommendation.rate != nil, "seed \(seed)")
        }
    }

    private func finding(_ losses: [Double], steps: Int = 100) throws -> RangeFinding {
        RangeFinding(
            RangeCurve(try RateRamp(from: 1e-5, to: 1, steps: steps), losses: losses))
    }

    @Test("a loss that falls to the end of the ramp asks for a longer one")
    func fallsToTheEnd() throws {
        let finding = try finding((0..<100).map { 4 - 0.02 * Double($0) })
        #expect(finding.valley.rate != nil)
        #expect(finding.tenthOfMinimum == .none(.fallsToTheEnd))
        #expect(finding.recommendation.rate == nil)
        #expect(finding.recommendation.reason.contains("--to more than 1.0"))
    }

    @Test("a loss that diverges at once asks for lower rates")
    func divergesAtOnce() throws {
        let finding = try finding([4, 4, 4, .nan])
        #expect(finding.valley == .none(.tooFewPoints))
        #expect(finding.recommendation.rate == nil)
        #expect(finding.recommendation.reason.contains("after 4 of 100 steps"))
        #expect(finding.recommendation.reason.contains("--from 1e-07"))
    }

    @Test("a loss that only rises asks for lower rates or more steps")
    func onlyRises() throws {
        let finding = try finding((0..<60).map { 4 + 0.01 * Double($0) } + [.infinity])
        #expect(finding.valley == .none(.neverFalls))
        #expect(finding.recommendation.reason.contains("--from 1e-07"))
    }

    @Test("a minimum at the beginning of the ramp gives no recommendation")
    func leastAtTheBeginning() throws {
        let losses = (0..<100).map { pow((Double($0) - 11) / 10, 2) + 2 }
        let finding = try finding(losses)
        #expect(try #require(finding.tenthOfMinimum.rate) < 1e-5)
        #expect(finding.recommendation.rate == nil)
        #expect(finding.recommendation.reason.contains("--from a hundredth"))
    }

    @Test("if the valley is near divergence, a tenth of the minimum is recommended")
    func lateAndFast() throws {
        // A plateau rises a little, and then the loss falls within a few steps.
        let losses = (0..<100).map { step -> Double in
            let x = Double(step)
            return x < 60 ? 4 + 0.001 * x : x < 80 ? 4.06 - 0.15 * (x - 59) : 1 + exp(x - 80)
        }
        let finding = try finding(losses)
        let valley = try #require(finding.valley.rate)
        let tenth = try #require(finding.tenthOfMinimum.rate)
        #expect(tenth < valley)
        #expect(finding.recommendation.rate == tenth)
        #expect(finding.recommendation.reason.hasPrefix("a tenth of"))
    }

    @Test("if the loss falls long before its minimum, the valley is recommended")
    func longFall() throws {
        let losses = (0..<100).map { step -> Double in
            let x = Double(step)
            return 4 - 0.03 * x + exp((x - 90) / 2)
        }
        let finding = try finding(losses)
        let valley = try #require(finding.valley.rate)
        #expect(valley < (try #require(finding.tenthOfMinimum.rate)))
        #expect(finding.recommendation.rate == valley)
        #expect(finding.recommendation.reason.hasPrefix("the valley"))
    }
}
