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

    @Test("a power law fits any two best rates, so their exponent is undecided")
    func twoModels() throws {
        let all = try transfer(exponent: -0.5)
        #expect(try #require(all.exponentSentence).hasSuffix("the embeddings and the head."))
        // The rates of the larger models diverge.
        let two = try transfer(exponent: -0.5, diverges: { _, count in count > 40_000 })
        #expect(two.exponent.batches == [10_000, 40_000])
        let sentence = try #require(two.exponentSentence)
        #expect(
            sentence.hasPrefix("The known best rates, of model 10000 and model 40000, are "),
            "\(sentence)")
        #expect(
            sentence.hasSuffix(
                ", but any two models fit a power law, so the exponent is undecided."),
            "\(sentence)")
    }

    @Test("the next runs name models by their parameters, and rules as the verdicts do")
    func adviceAsJSON() throws {
        let analysis = try transfer(exponent: -0.25, seeds: 3)
        let runs = try #require(analysis.nextRuns)
        #expect(runs.probabilities.map(\.rule) == ["none"])
        let json = analysis.json.text
        #expect(json.contains("\"parameters\":[10000"), "\(json)")
        #expect(!json.contains("\"batches\":[10000"))
    }

    @Test("every undecided model has a reason")
    func reasons() throws {
        let analysis = try transfer(exponent: -0.25, seeds: 3)
        let open = Self.counts.filter { analysis.verdict.word(atBatch: $0) == "undecided" }
        try #require(!open.isEmpty, "\(analysis.sentence)")
        let sentence = try #require(analysis.undecidedSentence)
        for count in open { #expect(sentence.contains("model \(count)"), "\(sentence)") }
        #expect(sentence.contains("(the regret's interval contains the tolerance)"), "\(sentence)")
        #expect(analysis.details.first == sentence)
    }

    @Test("undecided models have a best guess and the runs that would decide them")
    func advice() throws {
        let analysis = try transfer(exponent: -0.25, seeds: 3)
        let open = analysis.verdict.undecided.map(\.batch)
        try #require(!open.isEmpty, "\(analysis.sentence)")
        let runs = try #require(analysis.nextRuns)
        let decision = try #require(runs.probabilities.first)
        let sentence = try #require(analysis.nextRunsSentence)
        #expect(
            sentence.contains(" more seed") && sentence.contains(" at model 10000"), "\(sentence)")
        #expect(sentence.contains("(\(runs.runCount) runs, "), "\(sentence)")
        #expect(
            sentence.contains("the transfer to model \(open[0])")
                && sentence.contains(
                    "with a probability of \(String(format: "%.2f", decision.probability))"),
            "\(sentence)")
        #expect(!sentence.contains("B = "), "\(sentence)")
        // The loss is 0.1 z^2 above the best one, and the best rates differ by 4^(1/4) a model.
        let costs = analysis.verdict.regrets.compactMap { regret -> Double? in
            if case .measured(let estimate) = regret.outcome { estimate.value } else { nil }
        }
        #expect(abs(costs[3] - 0.1 * pow(0.25 * log(64), 2)) < 0.03)
        for count in Self.counts.dropFirst() {
            #expect(analysis.bestGuess.contains(" at model \(count)"), "\(analysis.bestGuess)")
        }
        #expect(analysis.details.contains(analysis.bestGuess))
        #expect(analysis.details.contains(sentence))
    }

    @Test("a smallest model without a best rate asks for rates toward the edge, and has a guess")
    func unknownBase() throws {
        var sweep = PlantedSweep()
        sweep.batches = Self.counts
        sweep.rates = (0..<6).map { 1e-3 * pow(2, Double($0)) }
        sweep.bestRate = { $0 == 10_000 ? 2e-4 : 4e-3 }
        let points = sweep.points()
        let analysis = try #require(
            TransferAnalysis(
                Self.counts.map { count in
                    SizedRuns(
                        SizedModel(name: "model \(count)", parameters: count),
                        points.filter { $0.batch == count }, design: Self.design)
                }, settings: AnalysisSettings()))
        #expect(analysis.sentence.contains("has no best rate to keep (below the grid)"))
        let sentence = try #require(analysis.nextRunsSentence)
        #expect(
            sentence.hasPrefix("Next runs: rates 0.00025 and 0.0005 at model 10000 (8 runs, "),
            "\(sentence)")
        let guess = analysis.bestGuess
        #expect(
            guess.hasPrefix(
                "Best guess: the least loss of model 10000 is at 1e-3, its lowest rate."),
            "\(guess)")
        // At this rate, the others lose 0.1 ln(4)^2 = 0.19.
        #expect(guess.contains("Keeping this rate costs 0.") && guess.contains("at model 640000"))
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
            chinchilla.sentence.contains(
                "for N parameters outside the embeddings and the head and B sequences in a batch. The "
                    + "tokens D follow N here, so the exponent of N includes that of D."),
            "\(chinchilla.sentence)")
        // Whole steps round the tokens.
        let rounded = try #require(
            JointRateFit(
                observations(0.05, tokens: { [20 * $0 + sin($0) * 100] }), level: 0.95))
        #expect(rounded.tokensFollow == [.parameters])
        // With equal steps, the tokens are proportional to the batch.
        let steps = observations(0.05).map { one in
            JointRateFit.Observation(
                parameters: one.parameters, tokens: one.batch * 1e4, batch: one.batch,
                logRate: one.logRate)
        }
        #expect(try #require(JointRateFit(steps, level: 0.95)).tokensFollow == [.batch])
        #expect(
            JointRateFit(observations(0.05, batches: [4], tokens: { _ in [1e5] }), level: 0.95)
                == nil)
        #expect(JointRateFit([], level: 0.95) == nil)
    }

    @Test("the same best rate twice counts once")
    func repetitions() throws {
        let once = observations(0.05)
        let fit = try #require(JointRateFit(once, level: 0.95))
        #expect(try #require(JointRateFit(once + once, level: 0.95)) == fit)
        #expect(fit.count == once.count && fit.clusterCount == once.count / 2)
        #expect(fit.sentence.hasPrefix("16 best rates of 8 pairs of a model and a batch give "))
    }

    @Test("uncertain best rates weigh less, and errors that a comparison shares widen intervals")
    func errors() throws {
        func fit(
            _ variance: (Double) -> Double, shared: Double = 0, at wrong: Double = 0
        ) throws -> JointRateFit {
            let all = observations(0.01).map { one in
                JointRateFit.Observation(
                    parameters: one.parameters, tokens: one.tokens, batch: one.batch,
                    logRate: one.logRate + (one.parameters == 640_000 ? wrong : 0),
                    error: .init(
                        variance: variance(one.parameters), degreesOfFreedom: 8,
                        comparison: Int(one.tokens + one.batch), shift: shared))
            }
            return try #require(JointRateFit(all, level: 0.95))
        }
        func size(_ fit: JointRateFit) -> Double { fit.exponents[0].exponent.value }
        let equal = try fit({ _ in 1e-4 }, at: 0.3)
        let weighted = try fit({ $0 == 640_000 ? 1 : 1e-4 }, at: 0.3)
        #expect(abs(size(weighted) + 0.3) < 0.02 && abs(size(equal) + 0.3) > 0.03)
        let (alone, sharing) = try (fit({ _ in 1e-4 }), fit({ _ in 1e-4 }, shared: 0.1))
        func width(_ fit: JointRateFit, _ place: Int) throws -> Double {
            try #require(fit.exponents[place].exponent.interval).width
        }
        // What all models share leaves the exponent of N alone.
        #expect(try abs(width(alone, 0) / width(sharing, 0) - 1) < 1e-6)
        #expect(try width(sharing, 1) > 2 * width(alone, 1))
        #expect(try width(sharing, 2) > 2 * width(alone, 2))
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
