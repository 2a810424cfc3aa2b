import Experiments
import Foundation
import TestSupport
import Testing

@Suite("Rules of the range test")
struct RateRuleTests {
    /// A curve of `make_range_test_goldens.py` with the suggestions of fastai's rules.
    struct Golden: Decodable {
        let name: String
        let rates: [Double]
        let losses: [Double]
        let smoothed: [Double]
        let valley: Double
        let steepest: Double
        let minimum: Double
        let rawValley: Double
        let rawSteepest: Double
        let rawMinimum: Double

        static func load() throws -> [Golden] {
            let folder = URL(filePath: #filePath).deletingLastPathComponent().path
            let data = try Data(contentsOf: URL(filePath: "\(folder)/Golden/range-test.json"))
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            return try decoder.decode([Golden].self, from: data)
        }
    }

    @Test("averages are the weighted means of all losses so far")
    func smoothing() throws {
        let curves = try Golden.load()
        #expect(curves.count == 5)
        for golden in curves {
            var smoothing = LossSmoothing(steps: golden.losses.count)
            for (loss, expected) in zip(golden.losses, golden.smoothed) {
                // The two sums add up to 100 numbers in different orders.
                #expect(abs(smoothing.add(loss) / expected - 1) < 1e-13)
            }
        }
    }

    @Test("suggestions equal fastai's on smoothed and on raw losses")
    func suggestions() throws {
        for golden in try Golden.load() {
            let kept = 10..<golden.rates.count - 5
            let rates = Array(golden.rates[kept])
            let losses = Array(golden.smoothed[kept])
            #expect(RateRule.valley(rates, losses).rate == golden.valley, "\(golden.name)")
            #expect(RateRule.steepest(rates, losses).rate == golden.steepest, "\(golden.name)")
            #expect(RateRule.tenthOfMinimum(rates, losses).rate == golden.minimum, "\(golden.name)")
            let raw = golden.losses
            #expect(RateRule.valley(golden.rates, raw).rate == golden.rawValley)
            #expect(RateRule.steepest(golden.rates, raw).rate == golden.rawSteepest)
            #expect(RateRule.tenthOfMinimum(golden.rates, raw).rate == golden.rawMinimum)
        }
    }

    @Test("the considered part of a curve is the one that fastai keeps")
    func considered() throws {
        let ramp = try RateRamp(from: 1e-7, to: 10, steps: 100)
        for golden in try Golden.load() where golden.name != "linear ramp" {
            let curve = RangeCurve(ramp, losses: golden.losses)
            #expect(curve.ending == .complete, "\(golden.name)")
            #expect(curve.considered.count == 85)
            let finding = RangeFinding(curve)
            for (found, expected) in [
                (finding.valley, golden.valley), (finding.steepest, golden.steepest),
                (finding.tenthOfMinimum, golden.minimum),
            ] {
                // The powers are computed by two libraries.
                #expect(abs(try #require(found.rate) / expected - 1) < 1e-12, "\(golden.name)")
            }
        }
    }

    @Test("the valley of a straight fall is its middle")
    func straightFall() {
        let rates = (0..<30).map { pow(10, Double($0) / 10 - 4) }
        let losses = (0..<30).map { 5 - 0.1 * Double($0) }
        // 30 losses end at index 29, and 29 - 30 + 10 + 5 = 14.
        #expect(RateRule.valley(rates, losses).rate == rates[14])
    }

    @Test("curves without a fall or with too few points give the reason instead of a suggestion")
    func nothing() {
        let rates = (0..<20).map { pow(10, Double($0) / 5 - 5) }
        let rules: [([Double], [Double]) -> RateSuggestion] = [
            { RateRule.valley($0, $1, leastFall: 0.1) },
            { RateRule.steepest($0, $1, leastFall: 0.1) },
            { RateRule.tenthOfMinimum($0, $1, leastFall: 0.1) },
        ]
        for rule in rules {
            #expect(rule(rates, rates.map { _ in 3 }) == .none(.neverFalls))
            #expect(rule(rates, rates.map { 3 + $0 }) == .none(.neverFalls))
            #expect(rule(rates, (0..<20).map { 3 - 0.004 * Double($0) }) == .none(.neverFalls))
            #expect(rule(rates, (0..<20).map { 3 - 0.01 * Double($0) }).rate != nil)
            #expect(rule([1, 2, 3, 4], [4, 3, 2, 1]) == .none(.tooFewPoints))
            #expect(rule([], []) == .none(.tooFewPoints))
        }
    }

    @Test("a flat curve gives no suggestion even without an allowance")
    func flat() {
        let rates = (1...10).map(Double.init)
        #expect(RateRule.valley(rates, rates.map { _ in 2 }) == .none(.neverFalls))
        #expect(RateRule.steepest(rates, rates.map { _ in 2 }) == .none(.neverFalls))
        #expect(RateRule.tenthOfMinimum(rates, rates.map { _ in 2 }) == .none(.neverFalls))
    }

    @Test("a minimum at the end of a complete ramp gives no suggestion")
    func fallingToTheEnd() {
        let rates = (1...10).map(Double.init)
        let losses = rates.map { 5 - 0.1 * $0 }
        #expect(
            RateRule.tenthOfMinimum(rates, losses, isWhole: true) == .none(.fallsToTheEnd))
        #expect(RateRule.tenthOfMinimum(rates, losses, isWhole: false).rate == 1)
    }
}
