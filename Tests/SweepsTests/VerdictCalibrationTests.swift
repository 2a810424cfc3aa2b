import Benchmarks
import Foundation
import Sweeps
import Testing
import Verdicts

@Suite("The calibration of verdicts")
struct VerdictCalibrationTests {
    @Test("verdicts on simulated sweeps with little noise are right")
    func littleNoise() throws {
        let row = try VerdictCalibration(SimulatedSweep("parabola"), seeds: 5, sweeps: 30)
        #expect(row.trueHolds >= 0.95, "\(row)")
        #expect(row.trueFails == 0 && row.wrongHolds == 0, "\(row)")
        #expect(row.coverage >= 0.85 && row.width > 0, "\(row)")
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
