import Benchmarks
import Foundation
import TestSupport
import Testing
import Verdicts

/// Tests of the calibration of verdicts.
@Suite struct VerdictCalibrationTests {
    @Test("verdicts on simulated sweeps with little noise are right")
    func littleNoise() throws {
        let row = try VerdictCalibration(SimulatedSweep("parabola"), seeds: 5, sweeps: 30)
        #expect(row.trueHolds >= 0.95, "\(row)")
        #expect(row.trueFails == 0 && row.wrongHolds == 0, "\(row)")
        #expect(row.coverage >= 0.85 && row.width > 0, "\(row)")
    }

    /// Returns the row of a few sweeps of a case of `lockstep bench verdicts`.
    private func row(_ name: String, seeds: Int, sweeps: Int) throws -> VerdictCalibration {
        let sweep = try #require(VerdictCalibration.cases.first { $0.sweep.name == name }).sweep
        return try VerdictCalibration(sweep, seeds: seeds, sweeps: sweeps)
    }

    @Test(
        "the true rule holds in nearly all sweeps of a case, and never fails",
        arguments: [
            ("asymmetric, .004, .05", 5, 18, 0.94), ("parabola, .010, .15", 10, 9, 0.85),
            ("bursts, .004, .05", 5, 30, 0.9),
        ])
    func trueRule(name: String, seeds: Int, sweeps: Int, least: Double) throws {
        let row = try row(name, seeds: seeds, sweeps: sweeps)
        #expect(row.trueHolds >= least, "\(row)")
        #expect(row.trueFails == 0 && row.wrongHolds == 0, "\(row)")
        #expect(row.coverage >= 0.8, "\(row)")
    }

    @Test("the true rule does not fail, however much the seeds differ")
    func differentSeeds() throws {
        let row = try row("parabola, .004, .30", seeds: 20, sweeps: 9)
        #expect(row.trueFails == 0 && row.wrongHolds == 0, "\(row)")
        #expect(row.trueHolds >= 0.6, "\(row)")
    }

    @Test("best rates that are flat up to a batch and then linear follow no power law")
    func flatThenLinear() throws {
        let sweep = PlantedSweep(
            batches: [1, 2, 4, 8, 16, 32, 64], rates: (-4..<8).map { 1e-3 * pow(2, Double($0)) },
            seeds: 3, curvature: 0.06, bestRate: { 1e-3 * max(1, Double($0) / 8) },
            lossNoise: 0.003, rateNoise: 0.03)
        for noise in UInt64(1)...8 {
            let analysis = try sweep.analysis(noise: noise)
            #expect(analysis.exponent.sentence.hasPrefix("No power law fits the best rates"))
            let bend = try #require(analysis.exponent.bend)
            #expect(abs(bend.below) < 0.2 && abs(bend.above - 1) < 0.2, "\(bend)")
            let root = try analysis.verdict("sqrt")
            #expect(root.failsFrom != nil && root.holdsUpTo != 64, "\(root.sentence)")
            #expect(
                analysis.bestGuess.hasPrefix("Best guess: no rule is good at every batch"),
                "\(analysis.bestGuess)")
        }
    }

    @Test("a seed whose runs all burst at one batch leaves the other batches' errors as they are")
    func burstingSeed() throws {
        var sweep = SimulatedSweep("bursts")
        (sweep.exponent, sweep.burstProbability) = (0, 0.05)
        // In this repetition, the fit takes a third of the runs of batch 16 for outliers.
        let points = sweep.points(seeds: 3, repetition: 18)
        let analysis = try Analysis(
            points, settings: AnalysisSettings(designs: [SimulatedSweep.design]))
        let interval = try #require(analysis.designs[0].exponent.exponent?.interval)
        #expect(interval.contains(0) && interval.width < 0.15, "\(interval)")
    }

    @Test("a wrong truth is noticed: a rule that is judged by another law fails")
    func anotherLaw() throws {
        var sweep = SimulatedSweep("none")
        sweep.exponent = 0
        var settings = AnalysisSettings(designs: [SimulatedSweep.design])
        settings.rules = [.linear]
        let analysis = try Analysis(sweep.points(seeds: 5, repetition: 0), settings: settings)
        #expect(try analysis.designs[0].verdict("linear").failsFrom == 2)
    }

    @Test("a simulated sweep is the same each time and follows its law")
    func theLaw() throws {
        var sweep = SimulatedSweep("exact")
        (sweep.lossNoise, sweep.seedNoise, sweep.exponent) = (0, 0, 1)
        let points = sweep.points(seeds: 2, repetition: 3)
        #expect(points == sweep.points(seeds: 2, repetition: 3))
        #expect(points != sweep.points(seeds: 2, repetition: 4))
        #expect(points.count == 6 * 9 * 2)
        #expect(abs(sweep.regret(ofExponent: 0, batch: 2) - 0.06 * log(2) * log(2)) < 1e-12)
        let analysis = try Analysis(
            points, settings: AnalysisSettings(designs: [SimulatedSweep.design]))
        let exponent = try #require(analysis.designs[0].exponent.exponent)
        #expect(abs(exponent.value - 1) < 1e-6)
    }
}
