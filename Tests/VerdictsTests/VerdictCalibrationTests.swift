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
