import Foundation
import TestSupport
import Testing
import Verdicts

/// Tests of best rates.
@Suite struct RateOptimumTests {
    @Test("without noise the best rate is the planted one at every batch and seed")
    func exact() throws {
        let sweep = PlantedSweep(lossNoise: 0, rateNoise: 0)
        for optimum in try sweep.analysis().optima {
            let best = try #require(optimum.optimum.best)
            // The vertex of a parabola through a few numbers near 2.5 has only rounding errors.
            #expect(abs(best.rate / sweep.bestRate(optimum.batch) - 1) < 1e-9)
            #expect(optimum.seeds.count == 4)
            for seed in optimum.seeds {
                #expect(abs(try #require(seed.logRate) - best.logRate) < 1e-6)
            }
        }
    }

    @Test("a batch's interval contains the planted rate in about 95 % of repetitions")
    func coverage() throws {
        var held = 0
        let sweep = PlantedSweep(batches: [32])
        for repetition in UInt64(0)..<200 {
            let optimum = try sweep.analysis(noise: repetition).optima[0].optimum
            let interval = try #require(optimum.best?.interval)
            if interval.contains(sweep.bestRate(32)) { held += 1 }
        }
        // The expected number is 190, with a binomial standard deviation of 3.
        #expect((178...199).contains(held), "\(held) of 200")
    }

    @Test("an optimum outside the grid is unbracketed on its side, and the next rates are named")
    func unbracketed() throws {
        for (rate, side, next) in [
            (1e-5, Side.below, [2.5e-5, 5e-5]), (1, .above, [0.4096, 0.8192]),
        ] {
            let analysis = try PlantedSweep(bestRate: { _ in rate }).analysis()
            let optimum = try analysis.optimum(32)
            #expect(optimum.optimum == .unbracketed(side))
            guard case .rates(let rates, let batch) = optimum.decidingRuns else {
                Issue.record("\(String(describing: optimum.decidingRuns))")
                continue
            }
            #expect(batch == 32 && rates.count == 2)
            for (rate, expected) in zip(rates, next) { #expect(abs(rate / expected - 1) < 1e-9) }
            #expect(analysis.exponent.exponent == nil && !analysis.exponent.isConclusive)
        }
    }

    @Test("losses without a curve are flat, or at worst best at an edge")
    func noiseOnly() throws {
        var flat = 0
        var found = 0
        var asksForSeeds = 0
        for repetition in UInt64(0)..<100 {
            let sweep = PlantedSweep(batches: [8], curvature: 0, lossNoise: 0.01)
            let optimum = try sweep.analysis(noise: repetition).optima[0]
            switch optimum.optimum {
            case .flat:
                flat += 1
                // Two rates further out on each side without a worse one, unless all seeds happen
                // to agree.
                if case .seeds? = optimum.decidingRuns {
                    asksForSeeds += 1
                    continue
                }
                guard case .rates(let rates, batch: 8) = optimum.decidingRuns else {
                    Issue.record("\(String(describing: optimum.decidingRuns))")
                    continue
                }
                #expect(rates.count == 4 || rates.count == 2)
                #expect(rates.allSatisfy { $0 < 1e-4 || $0 > 0.2 })
            case .found: found += 1
            case .unbracketed, .insufficient, .misfit: break
            }
        }
        // The curvature passes a test at 95 %, on the side that the choice of the lowest loss
        // favors.
        #expect(flat >= 80, "\(flat) flat of 100")
        #expect(found <= 10, "\(found) found of 100")
        #expect(asksForSeeds <= 20, "\(asksForSeeds) of 100")
    }

    @Test("a rate that diverges bounds the optimum and is not a point of the parabola")
    func divergedEdge() throws {
        let sweep = PlantedSweep(
            lossNoise: 0, rateNoise: 0, diverges: { rate, _ in rate > 3.5e-3 })
        let analysis = try sweep.analysis()
        // The best rates are 1e-3 at 8 and 2e-3 at 32, below the cliff.
        for batch in [8, 16, 32] {
            let best = try #require(try analysis.optimum(batch).optimum.best)
            #expect(abs(best.rate / sweep.bestRate(batch) - 1) < 1e-9)
        }
        // The best rate at 128 would be 4e-3; the highest rate that trains is 3.2e-3.
        let optimum = try analysis.optimum(128)
        #expect(optimum.optimum == .unbracketed(.above))
        guard case .rates(let rates, _) = optimum.decidingRuns else {
            Issue.record("\(String(describing: optimum.decidingRuns))")
            return
        }
        #expect(rates.count == 1 && abs(rates[0] / (3.2e-3 * 2.0.squareRoot()) - 1) < 1e-9)
    }

    /// The loss falls slowly and then jumps; a parabola's minimum would be .03 nats below any loss.
    @Test("next to a cliff the best rate is near the least loss, and no loss is invented")
    func cliff() throws {
        var noise = SeededNoise(seed: 4)
        let losses = [2.58, 2.50, 2.44, 2.40, 2.75]
        let points = (0..<3).flatMap { seed in
            losses.enumerated().map { index, loss in
                TrainedPoint.planted(
                    batch: 8, rate: 1e-3 * Double(1 << index), seed: seed,
                    loss: loss + 0.002 * noise.normal())
            }
        }
        let optimum = try Analysis(
            points, settings: AnalysisSettings(designs: [PlantedSweep.design])
        )
        .designs[0].optima[0]
        let best = try #require(optimum.optimum.best)
        #expect(best.rate > 4e-3 && best.rate < 1.2e-2, "\(best.rate)")
        #expect(best.loss > 2.38, "\(best.loss)")
    }

    /// 8e-3 trains and 9e-3 does not. There is no parabola, but the best rate cannot be much
    /// higher.
    @Test(
        "the best rate just below a rate that diverges is the grid's best one within its resolution"
    )
    func finestSpacing() throws {
        let rates = [1e-3, 2e-3, 4e-3, 8e-3, 9e-3]
        let sweep = PlantedSweep(
            batches: [8, 16], rates: rates, seeds: 3, bestRate: { $0 == 8 ? 2e-3 : 3e-2 },
            rateNoise: 0, diverges: { rate, _ in rate > 8.5e-3 })
        let analysis = try sweep.analysis()
        let best = try #require(try analysis.optimum(16).optimum.best)
        #expect(abs(best.rate / 8e-3 - 1) < 1e-9)
        let interval = try #require(best.interval)
        #expect(abs(interval.upper / 9e-3 - 1) < 1e-9, "the rate that diverges")
        // The exponent ln(8e-3 / 2e-3) / ln(2) is 2, with an error of up to the resolution, ln(9/8)
        // / ln(2).
        let exponent = try #require(analysis.exponent.exponent)
        #expect(abs(exponent.value - 2) < 0.1)
        #expect(try #require(exponent.interval).width > log(9.0 / 8) / log(2))
    }

    @Test("two rates are too few, and a batch whose runs all diverged asks for lower rates")
    func insufficient() throws {
        let two = try PlantedSweep(rates: [1e-3, 2e-3]).analysis()
        #expect(try two.optimum(8).optimum == .insufficient)
        let none = try PlantedSweep(diverges: { _, batch in batch == 64 }).analysis()
        #expect(try none.optimum(64).optimum == .insufficient)
        guard case .rates(let lower, batch: 64) = try none.optimum(64).decidingRuns else {
            Issue.record("\(String(describing: try none.optimum(64).decidingRuns))")
            return
        }
        #expect(abs(lower[0] / (1e-4 / 16) - 1) < 1e-9 && abs(lower[1] / (1e-4 / 4) - 1) < 1e-9)
        #expect(try none.optimum(32).optimum.best != nil)
    }

    @Test("one seed has a best rate without an interval")
    func oneSeed() throws {
        // A shallow curve keeps more than three rates in the window.
        let analysis = try PlantedSweep(seeds: 1, curvature: 0.03).analysis()
        let optimum = try analysis.optimum(32)
        let best = try #require(optimum.optimum.best)
        #expect(best.interval == nil)
        #expect(abs(best.rate / PlantedSweep().bestRate(32) - 1) < 0.4)
        #expect(analysis.exponent.exponent != nil && !analysis.exponent.isConclusive)
        #expect(analysis.nextRuns?.parts == [.seeds(2, batches: [8, 16, 32, 64, 128])])
    }
}

/// Tests of the exponent of the best rate.
@Suite struct RateExponentTests {
    @Test("planted exponents are recovered", arguments: [0.0, 0.25, 0.5, 1.0])
    func planted(exponent: Double) throws {
        let sweep = PlantedSweep(bestRate: { 1e-3 * pow(Double($0) / 8, exponent) })
        let result = try sweep.analysis().exponent
        let estimate = try #require(result.exponent)
        // The slope over ln(16) from 5 batches and 4 seeds with a noise of .1 has an error of .02.
        #expect(abs(estimate.value - exponent) < 0.08)
        #expect(result.isConclusive && result.seeds.count == 4)
        #expect(result.possibleExponents == (exponent == 0.25 ? [] : [exponent]))
    }

    @Test("without noise the exponent of a rule is exact to rounding")
    func exactExponent() throws {
        let sweep = PlantedSweep(
            bestRate: { 1e-3 * Double($0) / 8 }, lossNoise: 0, rateNoise: 0)
        let result = try sweep.analysis().exponent
        #expect(result.possibleExponents == [1] && result.isConclusive)
        #expect(result.sentence.contains("agrees with linear but excludes sqrt and no scaling."))
    }

    @Test("two batches show no law and are named")
    func twoBatches() throws {
        // The best rates at 16 and 32 are above the grid.
        let sweep = PlantedSweep(
            batches: [8, 16, 32, 64], bestRate: { [16, 32].contains($0) ? 1 : 1e-3 },
            rateNoise: 0.01)
        let result = try sweep.analysis().exponent
        #expect(result.batches == [8, 64] && !result.isConclusive)
        #expect(result.sentence.hasPrefix("The known best rates, at B = 8 and 64, are"))
        #expect(result.sentence.hasSuffix("fit a power law, so the exponent is undecided."))
    }

    @Test("missing runs of some seeds are named if a batch has no best rate")
    func missingRuns() throws {
        let points = PlantedSweep(batches: [8], bestRate: { _ in 0.5 }).points().filter {
            $0.seed != 2 || $0.learningRate < 0.03
        }
        let optimum = try Analysis(
            points, settings: AnalysisSettings(designs: [PlantedSweep.design])
        )
        .designs[0].optima[0]
        #expect(optimum.optimum.best == nil)
        let runs = try #require(optimum.decidingRuns)
        #expect(
            runs.phrase == "the missing runs of seed 2 with rates 0.0512, 0.102 and 0.205 at B = 8",
            "\(runs.phrase)")
    }

    @Test("the interval contains the planted exponent in about 95 % of repetitions")
    func coverage() throws {
        var held = 0
        for repetition in UInt64(0)..<200 {
            let sweep = PlantedSweep(batches: [8, 32, 128], seeds: 3)
            let result = try sweep.analysis(noise: 500 + repetition).exponent
            if try #require(result.exponent?.interval).contains(0.5) { held += 1 }
        }
        // The expected number is 190, with a binomial standard deviation of 3.
        #expect((178...199).contains(held), "\(held) of 200")
    }

    @Test("seeds that disagree leave the exponent open")
    func open() throws {
        let result = try PlantedSweep(batches: [8, 16, 32], seeds: 3, rateNoise: 0.4).analysis()
            .exponent
        #expect(!result.isConclusive && result.possibleExponents.count >= 2)
        #expect(result.sentence.contains("undecided between"))
    }
}
