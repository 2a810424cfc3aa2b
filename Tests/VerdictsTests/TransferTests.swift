import Foundation
import TestSupport
import Testing
import Verdicts

/// Tests of verdicts on the transfer of rates, and of joint fits, with planted truths.
@Suite struct TransferTests {
    private static let counts = [10_000, 40_000, 160_000, 640_000]
    private static let design = Design.equalSteps(PlantedSweep.steps)

    /// Returns the analysis of models whose best rate is proportional to N^exponent.
    private func transfer(
        exponent: Double, noise: UInt64 = 1, seeds: UInt64 = 5,
        diverges: @escaping (_ rate: Double, _ count: Int) -> Bool = { _, _ in false }
    ) throws -> TransferAnalysis {
        var sweep = PlantedSweep()
        sweep.batches = Self.counts
        sweep.seeds = seeds
        sweep.rateNoise = 0.05
        sweep.bestRate = { 3e-3 * pow(Double($0) / 10_000, exponent) }
        sweep.diverges = diverges
        let points = sweep.points(noise: noise)
        let runs = Self.counts.map { count in
            SizedRuns(
                SizedModel(name: "model \(count)", parameters: count),
                points.filter { $0.batch == count }, design: Self.design)
        }
        return try #require(TransferAnalysis(runs, settings: AnalysisSettings()))
    }

    @Test("a rate that suits every size transfers to the largest")
    func equalRatesTransfer() throws {
        for noise in UInt64(1)...5 {
            let analysis = try transfer(exponent: 0, noise: noise)
            #expect(analysis.verdict.holdsUpTo == 640_000)
            #expect(analysis.sentence.contains("transfers up to model 640000"))
            let interval = try #require(analysis.exponent.exponent?.interval)
            #expect(interval.contains(0) && interval.width < 0.1)
        }
    }

    @Test("a rate that must fall with the size fails, with its exponent")
    func fallingRatesFail() throws {
        for noise in UInt64(1)...5 {
            let analysis = try transfer(exponent: -0.5, noise: noise)
            #expect(analysis.verdict.failsFrom == 40_000)
            #expect(analysis.verdict.reachBeyondBase == nil)
            #expect(analysis.sentence.contains("fails from model 40000 (regret "))
            let exponent = try #require(analysis.exponent.exponent)
            #expect(abs(exponent.value + 0.5) < 0.05)
        }
    }

    @Test("every undecided model has a reason")
    func reasons() throws {
        let analysis = try transfer(exponent: -0.25, seeds: 3)
        let open = Self.counts.filter { analysis.verdict.word(atBatch: $0) == "undecided" }
        try #require(!open.isEmpty, "\(analysis.sentence)")
        let sentence = try #require(analysis.undecidedSentence)
        for count in open { #expect(sentence.contains("model \(count)"), "\(sentence)") }
        #expect(sentence.contains("(the regret's interval, "), "\(sentence)")
        #expect(analysis.details.first == sentence)
    }

    @Test("a rate that diverges for a larger model fails there")
    func divergenceFails() throws {
        let analysis = try transfer(
            exponent: 0, diverges: { rate, count in count == 640_000 && rate > 1e-3 })
        #expect(analysis.verdict.failsFrom == 640_000)
        #expect(analysis.table.rows.last?.cells.last == "fails")
    }

    @Test("one model has nothing to transfer to")
    func oneModelIsNotJudged() {
        let points = PlantedSweep().points().filter { $0.batch == 8 }
        let runs = [
            SizedRuns(SizedModel(name: "one", parameters: 8), points, design: Self.design)
        ]
        #expect(TransferAnalysis(runs, settings: AnalysisSettings()) == nil)
    }

    // MARK: - Joint fits

    /// Returns best rates of every combination, each with a small error.
    private func observations(
        _ error: Double, batches: [Double] = [4, 16],
        tokens: (_ parameters: Double) -> [Double] = { _ in [1e5, 4e5] }
    ) -> [JointRateFit.Observation] {
        var noise = SeededNoise(seed: 3)
        return Self.counts.map(Double.init).flatMap { parameters in
            tokens(parameters).flatMap { tokens in
                batches.map { batch in
                    JointRateFit.Observation(
                        parameters: parameters, tokens: tokens, batch: batch,
                        logRate: -0.3 * log(parameters) - 0.1 * log(tokens) + 0.5 * log(batch)
                            + error * noise.normal())
                }
            }
        }
    }

    @Test("a joint fit finds the planted exponents and predicts the largest model")
    func jointFit() throws {
        let fit = try #require(JointRateFit(observations(0.05), level: 0.95))
        let expected: [JointRateFit.Variable: Double] = [
            .parameters: -0.3, .tokens: -0.1, .batch: 0.5,
        ]
        #expect(fit.exponents.count == 3)
        for (variable, exponent) in fit.exponents {
            let truth = try #require(expected[variable])
            #expect(try #require(exponent.interval).contains(truth), "\(variable)")
            #expect(abs(exponent.value - truth) < 0.05)
        }
        #expect(try #require(fit.holdOutFactor) < 1.2)
    }

    @Test("variables that do not vary, or follow from others, are left out")
    func dependentVariables() throws {
        let oneBatch = try #require(JointRateFit(observations(0.05, batches: [4]), level: 0.95))
        #expect(oneBatch.exponents.map(\.variable) == [.parameters, .tokens])
        let chinchilla = try #require(
            JointRateFit(observations(0.05, tokens: { [20 * $0] }), level: 0.95))
        #expect(chinchilla.exponents.map(\.variable) == [.parameters, .batch])
        #expect(
            JointRateFit(observations(0.05, batches: [4], tokens: { _ in [1e5] }), level: 0.95)
                == nil)
        #expect(JointRateFit([], level: 0.95) == nil)
    }

    @Test("a hold-out shows a law that breaks at the largest model")
    func holdOutShowsABreak() throws {
        let broken = observations(0.01).map { one in
            JointRateFit.Observation(
                parameters: one.parameters, tokens: one.tokens, batch: one.batch,
                logRate: one.logRate + (one.parameters == 640_000 ? log(3) : 0))
        }
        let fit = try #require(JointRateFit(broken, level: 0.95))
        #expect(abs(try #require(fit.holdOutFactor) - 3) < 0.3)
    }
}
