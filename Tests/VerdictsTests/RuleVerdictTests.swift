import Foundation
import Statistics
import TestSupport
import Testing
import Verdicts

/// Tests of verdicts on scaling rules.
@Suite struct RuleVerdictTests {
    /// The best rate is proportional to the batch up to 32 and constant beyond.
    private let linearThenFlat: (Int) -> Double = { 1e-3 * Double(min($0, 32)) / 8 }

    @Test(
        "if the truth is linear up to a batch and then flat, linear holds up to it and fails beyond"
    )
    func plateau() throws {
        let analysis = try PlantedSweep(bestRate: linearThenFlat, rateNoise: 0.03).analysis()
        let linear = try analysis.verdict("linear")
        #expect(linear.holdsUpTo == 32 && linear.failsFrom == 64)
        #expect(linear.conclusion == .fails(from: 64) && linear.undecided.isEmpty)
        #expect(linear.sentence == "linear holds up to B = 32 and fails from B = 64.")
        let none = try analysis.verdict("none")
        #expect(none.conclusion == .fails(from: 16) && none.holdsUpTo == 8)
        #expect(
            analysis.sentence.hasPrefix(
                "linear holds up to B = 32 (regret <= 0.01 at 95 %) and fails from B = 64; "))
        // The regret is the curvature times the square of the rate's distance, which is ln(2).
        guard case .measured(let regret) = linear.regrets[3].outcome else {
            Issue.record("\(linear.regrets[3])")
            return
        }
        #expect(try #require(regret.interval).contains(0.1 * log(2) * log(2)))
    }

    @Test("a rule that is true holds at every batch")
    func truth() throws {
        let analysis = try PlantedSweep(curvature: 0.3, rateNoise: 0.03).analysis()
        #expect(try analysis.verdict("sqrt").conclusion == .holds(upTo: 128))
        #expect(
            try analysis.verdict("sqrt").sentence.hasSuffix(", the largest batch that was trained.")
        )
        #expect(try analysis.verdict("linear").conclusion == .fails(from: 16))
    }

    @Test("a rule that fails at one batch and holds at others is reported so")
    func failsAtOne() throws {
        let sweep = PlantedSweep(
            batches: [8, 16, 32, 64], bestRate: { $0 == 16 ? 3e-3 : 1e-3 }, rateNoise: 0.01)
        let analysis = try sweep.analysis()
        let none = try analysis.verdict("none")
        #expect(none.failsFrom == 16 && none.holdsBeyondFailure == [32, 64])
        #expect(
            none.sentence
                == "no scaling fails at B = 16 but holds at B = 32 and 64.")
        #expect(analysis.sentence.contains("no scaling fails at B = 16 but holds at B = 32 and 64"))
    }

    @Test("batches below the base batch are judged, and their costs count")
    func belowBase() throws {
        // The square root holds from 32 up. Below, the best rate is 1e-3 instead of 5e-4.
        let sweep = PlantedSweep(
            batches: [8, 32, 64, 128], curvature: 0.3,
            bestRate: { 1e-3 * (Double(max($0, 32)) / 32).squareRoot() }, rateNoise: 0.02)
        let settings = AnalysisSettings(
            baseBatch: 32, designs: [PlantedSweep.design], rules: [.squareRoot])
        let analysis = try Analysis(sweep.points(), settings: settings)
        let design = analysis.designs[0]
        let verdict = try design.verdict("sqrt")
        #expect(verdict.conclusion == .holds(upTo: 128) && verdict.word(atBatch: 8) == "fails")
        #expect(
            verdict.sentence
                == "sqrt holds from B = 32 up to B = 128, the largest batch that was trained, but "
                + "fails at B = 8 (below the base batch).")
        #expect(
            design.sentence
                == "sqrt holds from B = 32 up to B = 128 (regret <= 0.01 at 95 %) and fails at B = 8 "
                + "(below the base batch).")
        guard case .measured(let cost)? = verdict.regrets.first?.outcome else {
            Issue.record("\(verdict.regrets)")
            return
        }
        #expect(cost.value > 0.1)
        let bound = String(format: "%.2g", cost.value)
        #expect(
            design.bestGuess.contains(
                "(at most \(bound) nats); it fails at B = 8 (below the base batch)"),
            "\(design.bestGuess)")
        #expect(
            analysis.json().text.contains("\"below_base\":[{\"batch\":8,\"verdict\":\"fails\"}]"))
        // A constant that is fitted to all batches is judged at all of them.
        #expect(design.fittedVerdicts[0].judgedRegrets.map(\.batch) == [8, 32, 64, 128])
        #expect(design.fittedVerdicts[0].word(atBatch: 8) != "-")
    }

    @Test("every failure of a rule that fails, holds and fails again is named")
    func failsAgain() throws {
        let sweep = PlantedSweep(
            batches: [8, 16, 32, 128], bestRate: { [16, 128].contains($0) ? 3e-3 : 1e-3 },
            rateNoise: 0.01)
        let sentence = try sweep.analysis().verdict("none").sentence
        #expect(sentence.hasSuffix("fails at B = 16 and 128 but holds at B = 32."), "\(sentence)")
    }

    @Test("a reach is not called final if the rule holds at a later batch")
    func reachWithAGap() throws {
        let sweep = PlantedSweep(
            batches: [8, 16, 32, 64], bestRate: { $0 == 32 ? 3e-3 : 1e-3 }, rateNoise: 0.01)
        var settings = AnalysisSettings(rules: [.none])
        settings.designs = [PlantedSweep.design]
        let analysis = try sweep.analysis(settings: settings)
        #expect(try analysis.verdict("none").holdsUpTo == 16)
        #expect(
            analysis.sentence
                == "no scaling holds up to B = 16 (regret <= 0.01 at 95 %) and fails at B = 32 but "
                + "holds at B = 64.")
    }

    @Test("the caller's own rule is judged like a built-in one")
    func ownRule() throws {
        let settings = AnalysisSettings(
            rules: [RateRule("power 1/4") { pow($0, 0.25) }])
        let sweep = PlantedSweep(
            bestRate: { 1e-3 * pow(Double($0) / 8, 0.25) }, rateNoise: 0.03)
        let analysis = try sweep.analysis(settings: settings)
        #expect(analysis.verdicts.count == 1)
        #expect(try analysis.verdict("power 1/4").conclusion == .holds(upTo: 128))
    }

    @Test("a regret whose interval contains the tolerance is undecided")
    func tooFewSeeds() throws {
        // The regret of the linear rule at 16 is .1 (ln(2) / 2)^2 = .012.
        let sweep = PlantedSweep(batches: [8, 16], seeds: 3)
        let verdict = try sweep.analysis().verdict("linear")
        #expect(verdict.conclusion == .inconclusive && verdict.holdsUpTo == 8)
        let open = try #require(verdict.undecided.first)
        #expect(open.batch == 16 && open.reason.contains("contains the tolerance"))
        #expect(
            verdict.sentence
                == "linear is undecided at B = 16 (the regret's interval contains the tolerance).")
    }

    /// Sweeps whose verdicts are undecided for different reasons.
    private static var openSweeps: [(sweep: PlantedSweep, reasons: [String])] {
        [
            (PlantedSweep(seeds: 3, lossNoise: 0.03), ["contains the tolerance"]),
            (
                PlantedSweep(
                    seeds: 3, bestRate: { 1e-3 * Double(min($0, 32)) / 8 }, rateNoise: 0.03,
                    diverges: { rate, batch in batch >= 64 && rate > 5e-3 }, divergingSeeds: [1]),
                ["1 of 3 seeds diverged"]
            ),
            (PlantedSweep(rates: (0..<5).map { 1e-4 * Double(1 << $0) }), ["best rate is unknown"]),
            (PlantedSweep(seeds: 1), ["one seed gives no interval"]),
            (
                PlantedSweep(
                    seeds: 3, diverges: { rate, batch in batch == 128 && rate > 3e-2 }), []
            ),
        ]
    }

    @Test("every undecided batch has a reason in its verdict", arguments: openSweeps.indices)
    func reasons(index: Int) throws {
        let (sweep, reasons) = Self.openSweeps[index]
        let analysis = try sweep.analysis()
        var sentences: [String] = []
        for verdict in analysis.verdicts + analysis.fittedVerdicts {
            let open = sweep.batches.filter { verdict.word(atBatch: $0) == "undecided" }
            #expect(verdict.allUndecided.map(\.batch) == open)
            for gap in verdict.allUndecided {
                #expect(!gap.reason.isEmpty && verdict.sentence.contains("(\(gap.reason))"))
                #expect(verdict.sentence.contains("\(gap.batch)"))
            }
            sentences.append(verdict.sentence)
        }
        for reason in reasons {
            #expect(sentences.contains { $0.contains(reason) }, "\(sentences)")
        }
    }

    @Test("verdicts are rarely wrong if the regret is twice or a fifth of the tolerance")
    func wrongVerdicts() throws {
        // The regret of the linear rule at 16 with the noise of two best rates is c ((ln(2) / 2)^2
        // + 2 * .1^2).
        for (curvature, isTooLarge) in [(0.02 / 0.14, true), (0.002 / 0.14, false)] {
            let sweep = PlantedSweep(batches: [8, 16], seeds: 3, curvature: curvature)
            let settings = AnalysisSettings(rules: [.linear], targetLosses: [-1])
            let wrong = try (UInt64(0)..<100).filter { repetition in
                let verdict = try sweep.analysis(noise: 300 + repetition, settings: settings)
                    .verdict("linear")
                return isTooLarge ? verdict.holdsUpTo == 16 : verdict.failsFrom == 16
            }
            // This is less than the 2.5 % at the tolerance itself.
            #expect(wrong.count <= 2, "\(wrong.count) of 100")
        }
    }

    @Test("one seed decides nothing")
    func oneSeed() throws {
        let analysis = try PlantedSweep(
            seeds: 1, diverges: { rate, batch in batch == 128 && rate > 7e-3 }
        ).analysis()
        for verdict in analysis.verdicts {
            #expect(verdict.conclusion == .inconclusive)
            #expect(verdict.holdsUpTo == nil && verdict.failsFrom == nil)
            #expect(verdict.undecided.count == 5)
            #expect(verdict.undecided[0].decidingRuns == nil)
        }
        // The linear rule's rate at 128 is 1.6e-2, which diverges.
        #expect(try analysis.verdict("linear").undecided[4].reason == "the only seed diverged")
    }

    @Test("a regret outside the grid is not guessed, and a rate that diverges fails")
    func outside() throws {
        let rates = (0..<6).map { 2.5e-4 * Double(1 << $0) }
        let short = try PlantedSweep(rates: rates, curvature: 0.3, rateNoise: 0.03).analysis()
        let linear = try short.verdict("linear", isTrained: false)
        #expect(linear.regrets[4].outcome == .outsideGrid(.above))
        #expect(linear.failsFrom == 16)
        let sweep = PlantedSweep(
            bestRate: linearThenFlat, rateNoise: 0, diverges: { rate, _ in rate > 7e-3 })
        let cliff = try sweep.analysis().verdict("linear")
        // The rate is between 6.4e-3, which trains, and 1.28e-2, which does not. Already 6.4e-3 is
        // far above the best rate.
        #expect(cliff.regrets[3].outcome == .belowDivergence && cliff.failsFrom == 64)
        #expect(cliff.regrets[4].outcome == .diverged(seeds: 4))

        var near = sweep
        near.bestRate = { $0 == 64 ? 5.6e-3 : linearThenFlat($0) }
        let open = try near.analysis().verdict("linear")
        guard open.undecided.map(\.batch) == [64],
            case .rates(let missing, batch: 64) = open.undecided[0].decidingRuns
        else {
            Issue.record("\(open.undecided)")
            return
        }
        #expect(missing.count == 1 && abs(missing[0] / 8e-3 - 1) < 0.05, "\(missing)")
        #expect(open.failsFrom == 128)
    }

    @Test("a best loss at the grid's edge bounds the regret from below, so the rule may only fail")
    func edge() throws {
        // The best rate at 128, 1.6e-2, is above the grid; the linear rule's rate is on it up to
        // 64.
        let sweep = PlantedSweep(
            batches: [8, 64, 128], rates: (0..<7).map { 1.25e-4 * Double(1 << $0) },
            bestRate: { 1e-3 * Double($0) / 8 }, rateNoise: 0.03)
        let analysis = try sweep.analysis()
        #expect(try analysis.optimum(128).optimum == .unbracketed(.above))
        let none = try analysis.verdict("none")
        #expect(none.regrets[2].isLowerBound && none.failsFrom == 64)
        let linear = try analysis.verdict("linear")
        #expect(linear.conclusion == .inconclusive)
        #expect(linear.undecided.last?.batch == 128)
    }

    @Test("without a best rate at the base no rule is judged, and the base's runs are requested")
    func noBase() throws {
        let sweep = PlantedSweep(bestRate: { $0 == 8 ? 1e-6 : 1e-3 })
        let verdict = try sweep.analysis().verdict("linear")
        #expect(verdict.conclusion == .inconclusive)
        #expect(verdict.undecided[1].reason == "the base batch has no best rate to scale")
        #expect(
            verdict.undecided[1].decidingRuns == (try sweep.analysis().optimum(8).decidingRuns))
    }

    @Test("a rule that fails is the best guess only if every rule fails")
    func bestGuess() throws {
        var sweep = PlantedSweep(curvature: 0.3, rateNoise: 0.03)
        let guess = try sweep.analysis().bestGuess
        #expect(
            guess.hasPrefix("Best guess: sqrt, with the smallest estimated regrets of the rules "))
        // The best rate falls, so every rule fails.
        sweep.bestRate = { 2e-3 * (8 / Double($0)).squareRoot() }
        let none = try sweep.analysis().bestGuess
        #expect(
            none.hasPrefix(
                "Best guess: no rule is good at every batch; no scaling comes closest, "),
            "\(none)")
    }

    @Test("a rule with a fitted constant is the best guess if no rule from the base batch is good")
    func fittedGuess() throws {
        // The best rate grows and falls again, so a rate between is good everywhere.
        let rates = [8: 1e-3, 16: 1.8e-3, 32: 2.4e-3, 64: 1.8e-3, 128: 1e-3]
        let sweep = PlantedSweep(
            batches: rates.keys.sorted(), curvature: 0.03, bestRate: { rates[$0] ?? 1e-3 },
            rateNoise: 0.03)
        let analysis = try sweep.analysis()
        #expect(analysis.verdicts.allSatisfy { $0.failsFrom != nil })
        #expect(
            analysis.bestGuess.hasPrefix(
                "Best guess: no rule that scales the base batch's best rate is good at every batch, "
                    + "but a single rate that is fitted to all batches may be, with estimated "
                    + "regrets of at most 0.00"), "\(analysis.bestGuess)")
    }

    @Test("a rule with a fitted constant is tested at the smallest batch, too")
    func fittedSmallest() throws {
        // The linear rule's constant suits batch 8, but not the batches beyond 16.
        let sweep = PlantedSweep(
            batches: [8, 16, 32, 64], curvature: 0.3,
            bestRate: { 1e-3 * Double(min($0, 16)) / 8 }, rateNoise: 0.03)
        let fitted = try sweep.analysis().fittedVerdicts
        let holding = fitted.filter { $0.holdsUpTo == 8 }
        #expect(
            holding.allSatisfy { $0.sentence.contains("holds at B = 8") }
                && fitted.filter { $0.holdsUpTo == nil }
                    .allSatisfy { !$0.sentence.contains("holds at B = 8") }
        )
        try #require(!holding.isEmpty, "\(fitted.map(\.sentence))")
    }

    @Test("the best guess has the known costs and names the batches with unknown ones")
    func partialGuess() throws {
        // The best rate at 256 is above the grid.
        let edge = PlantedSweep(
            batches: [8, 64, 256], rates: (0..<8).map { 1.25e-4 * Double(1 << $0) },
            bestRate: { 1e-3 * Double($0) / 8 }, rateNoise: 0.03)
        let partial = try edge.analysis().bestGuess
        #expect(
            partial.hasPrefix("Best guess: linear, with the least known cost of the rules that "))
        #expect(partial.contains("nats at B = 64, and an unknown cost at B = 256);"), "\(partial)")
        #expect(partial.hasSuffix("; it is not shown to hold at every batch."), "\(partial)")
        // A base batch with one rate has no best rate to scale.
        let settings = AnalysisSettings(designs: [PlantedSweep.design])
        let points = PlantedSweep(bestRate: { _ in 1e-3 }).points().filter {
            $0.batch > 8 || $0.learningRate == 1.6e-3
        }
        let fitted = try Analysis(points, settings: settings).designs[0].bestGuess
        #expect(
            fitted.hasPrefix(
                "Best guess: no scaling (constant fitted), with the least known cost (at most "),
            "\(fitted)")
        let noBase = PlantedSweep(batches: [8, 16], bestRate: { _ in 1e-6 })
        let unknown = try noBase.analysis().bestGuess
        #expect(
            unknown
                == "Best guess: unknown, because no cost of a rule that may hold is known; the rates of "
                + "least loss are 0.0001 at B = 8 and 0.0001 at B = 16.")
        let one = try PlantedSweep(batches: [8]).analysis().bestGuess
        #expect(
            one.hasPrefix("Best guess: unknown, because no rule is judged; the rate of "), "\(one)")
    }

    @Test("if every rule fails and diverges, the best guess is the measured rates")
    func measuredRates() throws {
        // The best rate falls by more than the grid has rates below it that train.
        var sweep = PlantedSweep(
            batches: [8, 32], curvature: 0.3, bestRate: { 8e-3 / Double($0) }, rateNoise: 0.03)
        sweep.diverges = { rate, batch in batch == 32 && rate > 6e-4 }
        let guess = try sweep.analysis().bestGuess
        #expect(
            guess.hasPrefix(
                "Best guess: no rule is good at every batch; the rates of least loss are "),
            "\(guess)")
        #expect(guess.contains(" at B = 8 and ") && guess.hasSuffix(" at B = 32."), "\(guess)")
    }

    @Test("noise alone decides nothing and asks for other rates")
    func noiseOnly() throws {
        let noisy = try PlantedSweep(
            batches: [8, 16], seeds: 2, curvature: 0, lossNoise: 0.05, rateNoise: 0
        ).analysis()
        try #require(noisy.optima[0].optimum == .flat)
        for verdict in noisy.verdicts {
            #expect(verdict.conclusion == .inconclusive)
            let runs = verdict.undecided.map(\.decidingRuns)
            #expect(runs.count == 2 && runs.allSatisfy { $0 == noisy.optima[0].decidingRuns })
        }
        #expect(noisy.exponent.exponent == nil && !noisy.exponent.isConclusive)
        #expect(noisy.sentence.contains("no rule is shown to hold"))
    }

    @Test("the best loss of a flat window is the window's mean")
    func flatWindow() throws {
        var points = PlantedSweep(batches: [8], lossNoise: 0, rateNoise: 0).points()
        var noise = SeededNoise(seed: 5)
        for seed in UInt64(0)..<4 {
            for (index, rate) in (0..<12).map({ 1e-4 * Double(1 << $0) }).enumerated() {
                // Four rates have equal losses, with steep losses on both sides.
                let distance = max(0, abs(Double(index) - 5.5) - 1.5)
                points.append(
                    .planted(
                        batch: 16, rate: rate, seed: seed,
                        loss: 2.5 + distance + 0.001 * noise.normal()))
            }
        }
        let analysis = try Analysis(
            points, settings: AnalysisSettings(designs: [PlantedSweep.design])
        ).designs[0]
        try #require(analysis.optimum(16).optimum == .flat)
        // The rate without scaling, 1e-3, is a third of the way from the fourth rate to the fifth.
        guard case .measured(let regret) = try analysis.verdict("none").regrets[1].outcome else {
            Issue.record("\(try analysis.verdict("none").regrets[1])")
            return
        }
        #expect(regret.value > 0.3 && regret.value < 1)
    }

    @Test("rules that were trained are judged by their own runs")
    func trained() throws {
        let sweep = PlantedSweep(rateNoise: 0.03)
        var points = sweep.points()
        for batch in sweep.batches {
            for seed in 0..<sweep.seeds {
                let grid = points.filter {
                    $0.batch == batch && $0.seed == seed && $0.rule == TrainedPoint.grid
                }
                let least = grid.compactMap { $0.loss(at: PlantedSweep.design) }.min() ?? 0
                points.append(
                    .planted(
                        rule: "adam-sde", batch: batch, rate: 1e-3, seed: seed,
                        loss: least + (batch <= 32 ? 0 : 0.1), diverged: batch == 128))
            }
        }
        let analysis = try Analysis(
            points, settings: AnalysisSettings(designs: [PlantedSweep.design]))
        let verdict = try analysis.designs[0].verdict("adam-sde", isTrained: true)
        // The planted best rates are within half a spacing of the grid's, so their losses are at
        // most .012 nats lower.
        #expect(verdict.regrets.map(\.batch) == sweep.batches)
        #expect(verdict.regrets[4].outcome == .diverged(seeds: 4))
        #expect(verdict.failsFrom == 64)
        #expect(verdict.name == "adam-sde (trained)")
        #expect(analysis.designs[0].optima.allSatisfy { $0.optimum.best != nil })
    }

    @Test("the base batch need not be the smallest")
    func base() throws {
        let settings = AnalysisSettings(baseBatch: 32)
        let verdict = try PlantedSweep(bestRate: linearThenFlat, rateNoise: 0.03)
            .analysis(settings: settings).verdict("none")
        #expect(verdict.conclusion == .holds(upTo: 128))
        // Below the base the regret is reported but is not part of the verdict.
        guard case .measured(let regret) = verdict.regrets[0].outcome else {
            Issue.record("\(verdict.regrets[0])")
            return
        }
        #expect(regret.value > 0.1)
    }
}
