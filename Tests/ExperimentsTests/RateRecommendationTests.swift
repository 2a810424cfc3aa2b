import Experiments
import Foundation
import TestSupport
import Testing

/// Tests of recommendations of the range test.
@Suite struct RateRecommendationTests {
    private func curve(
        _ losses: [Double], shape: RateRamp.Shape = .geometric
    ) throws -> RangeCurve {
        RangeCurve(try RateRamp(from: 1e-5, to: 1, steps: 100, shape: shape), losses: losses)
    }

    /// Returns a finished search from the rate 1 on a function of the rate.
    private func search(_ loss: (Double) -> Double) -> RateSearch {
        var search = RateSearch(start: 1, probeSteps: 20, fall: 1)
        while var probe = search.next {
            while probe.nextRate != nil { probe.add(loss(probe.rate), isFinite: true) }
            search.add(probe)
        }
        return search
    }

    @Test("a good rate is recommended, with the range of good ones")
    func good() throws {
        let search = search { 2 + 0.1 * pow(log2($0), 2) }
        let found = RateRecommendation(try curve([]), search)
        // The loss is within 0.05 for half an octave on either side, as the lines between the
        // probes say.
        #expect(abs(log2(try #require(found.rate)) + 0.5 / 3) < 1e-9)
        #expect(
            found.reason
                == "in the lower part of the rates from 0.71 to 1.4, whose loss after 20 steps is "
                + "within 0.05 nats of the least (noise 0)")
    }

    @Test("a narrow range of short probes is to be confirmed")
    func narrow() throws {
        let search = search { 2 + 0.4 * pow(log2($0), 2) }
        let found = RateRecommendation(try curve([]), search)
        #expect(
            found.reason.hasSuffix(
                "; so narrow a range may be chance; confirm it with --probe-steps 150 or more"),
            "\(found.reason)")
    }

    @Test("an open range is named, with a remedy")
    func open() throws {
        let found = RateRecommendation(try curve([]), search { $0 > 8 ? .nan : 2 })
        #expect(found.rate != nil)
        let words = "lower rates may be as good; give --probe-steps more than 20"
        #expect(found.reason.contains(words), "\(found.reason)")
    }

    @Test("probes that all diverge ask for lower rates")
    func divergingProbes() throws {
        let found = RateRecommendation(try curve([]), search { _ in .nan })
        #expect(found.rate == nil)
        #expect(found.reason == "the loss diverged in all 12 probes; give --from 1e-07")
    }

    /// Returns the reason why a curve gives nothing to probe.
    private func refusal(
        _ losses: [Double], shape: RateRamp.Shape = .geometric
    ) throws -> String {
        let curve = try curve(losses, shape: shape)
        #expect(curve.startingRate == nil)
        let recommendation = RateRecommendation(curve, nil)
        #expect(recommendation.rate == nil)
        return recommendation.reason
    }

    @Test("a loss that never falls asks for higher rates or more steps")
    func neverFalls() throws {
        let reason = try refusal(.init(repeating: 4, count: 100))
        #expect(reason.contains("never falls") && reason.contains("--to more than 1.0"))
        #expect(reason.contains("--steps more than 100"))
    }

    @Test("a loss that diverges at once asks for lower rates")
    func divergesAtOnce() throws {
        let reason = try refusal([4, 4, 4, .nan])
        #expect(reason.contains("after 4 of 100 steps") && reason.contains("--from 1e-07"))
        #expect(try refusal([4, 4, 4, .nan], shape: .linear).contains("--to 0.01"))
    }

    @Test("a loss that only rises asks for lower rates or more steps")
    func onlyRises() throws {
        let reason = try refusal((0..<60).map { 4 + 0.01 * Double($0) } + [.infinity])
        #expect(reason.contains("rises before it has") && reason.contains("--from 1e-07"))
    }
}
