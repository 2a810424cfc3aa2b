import Benchmarks
import Foundation
import TestSupport
import Testing
import Verdicts

/// Tests of batches whose valleys differ in depth or form. A curvature that they shared would leave
/// large residuals, and some batches would have no best rate.
@Suite struct ValleyDepthTests {
    private let batches = [8, 32, 128]

    /// Returns the analyses of several sweeps, whose best rates are proportional to the square root
    /// of the batch.
    private func analyses(_ change: (inout PlantedSweep) -> Void) throws -> [DesignAnalysis] {
        try (UInt64(0)..<8).map { repetition in
            var sweep = PlantedSweep(batches: batches, seeds: 3, curvature: 0.06)
            (sweep.lossNoise, sweep.rateNoise) = (0.003, 0.05)
            change(&sweep)
            return try sweep.analysis(noise: 40 + repetition)
        }
    }

    @Test(
        "rules are decided if the curvature grows or falls tenfold with the batch",
        arguments: [0.83, -0.83])
    func depths(growth: Double) throws {
        let all = try analyses { sweep in
            sweep.curvature = growth > 0 ? 0.03 : 0.3
            sweep.depth = { pow(Double($0) / 8, growth) }
        }
        // With one curvature for all batches, it was none of 8.
        #expect(try all.count { try $0.verdict("sqrt").holdsUpTo == 128 } >= 3)
        for analysis in all {
            #expect(analysis.optima.allSatisfy { $0.optimum.best != nil })
            #expect(try analysis.verdict("sqrt").failsFrom == nil)
            for rule in ["none", "linear"] {
                #expect(try analysis.verdict(rule).failsFrom != nil)
                #expect(try analysis.verdict(rule).reachBeyondBase == nil)
            }
            let curvatures = analysis.optima.compactMap(\.curvature)
            let ratio = try #require(curvatures.last) / curvatures[0]
            #expect(abs(log(ratio / pow(16, growth))) < 0.5, "\(curvatures)")
        }
    }

    @Test("batches whose curvatures do not differ share one")
    func shared() throws {
        let curvatures = try analyses { _ in }.map { $0.optima.compactMap(\.curvature) }
        let own = curvatures.count { Set($0).count > 1 }
        #expect(own <= 1, "\(curvatures)")
    }

    @Test("asymmetries that differ between batches do not make the true rule fail")
    func asymmetries() throws {
        for repetition in UInt64(0)..<6 {
            var points: [TrainedPoint] = []
            for (batch, sides) in zip(batches, [(0.12, 0.03), (0.06, 0.06), (0.03, 0.12)]) {
                var sweep = PlantedSweep(batches: [batch], seeds: 4)
                sweep.valley = { ($0 < 0 ? sides.0 : sides.1) * $0 * $0 }
                (sweep.lossNoise, sweep.rateNoise) = (0.003, 0.05)
                points += sweep.points(noise: 70 + 10 * repetition + UInt64(batch))
            }
            let analysis = try Analysis(
                points, settings: AnalysisSettings(designs: [PlantedSweep.design])
            ).designs[0]
            #expect(try analysis.verdict("sqrt").failsFrom == nil, "\(analysis.sentence)")
            let interval = try #require(analysis.exponent.exponent?.interval)
            #expect(interval.contains(0.5), "\(interval)")
        }
    }

    @Test("simulated sweeps with a curvature that grows with the batch are judged rightly")
    func calibration() throws {
        var sweep = SimulatedSweep("growing")
        sweep.growth = 0.4
        let row = try VerdictCalibration(sweep, seeds: 5, sweeps: 12)
        #expect(row.trueHolds >= 0.5 && row.trueFails == 0 && row.wrongHolds == 0, "\(row)")
    }
}

/// Tests of seeds with different rates.
@Suite struct UnlikeSeedsTests {
    /// A sweep in which all seeds but the first have only three rates, and the first has a better
    /// loss.
    private func points() -> [TrainedPoint] {
        PlantedSweep(batches: [8], seeds: 3, curvature: 0.06, rateNoise: 0.02).points().compactMap {
            point in
            let distance = abs(log(point.learningRate / 1e-3))
            guard point.seed == 0 || distance < 1 else { return nil }
            let loss = (point.curve.last?.validationLoss ?? 0) - (point.seed == 0 ? 0.2 : 0)
            return .planted(batch: 8, rate: point.learningRate, seed: point.seed, loss: loss)
        }
    }

    @Test("a rate that only a good seed has does not look good")
    func offsets() throws {
        let analysis = try Analysis(
            points(), settings: AnalysisSettings(designs: [PlantedSweep.design])
        ).designs[0]
        let best = try #require(analysis.optima[0].optimum.best)
        #expect(abs(log(best.rate / 1e-3)) < 0.2, "\(best.rate)")
    }

    @Test("no runs are missing in a planned sweep")
    func planned() throws {
        // The least loss is at the edge of the rates, so there is no best rate.
        let short = points().filter { $0.learningRate < 1.3e-3 }
        var settings = AnalysisSettings(designs: [PlantedSweep.design])
        func next() throws -> DecidingRuns? {
            try Analysis(short, settings: settings).designs[0].optima[0].decidingRuns
        }
        guard case .missing = try next() else {
            Issue.record("the seeds of a grid lack rates: \(String(describing: try next()))")
            return
        }
        settings.seedsShareRates = false
        guard case .rates(let rates, batch: 8) = try next() else {
            Issue.record("\(String(describing: try next()))")
            return
        }
        #expect(rates.allSatisfy { $0 > 1.3e-3 })
    }

    @Test("a rate is asked for if only the interval of a rule's rate leaves the grid")
    func interval() throws {
        let rates = (0..<8).map { 2.05e-3 / pow(2, Double($0)) }.reversed()
        let sweep = PlantedSweep(
            batches: [8, 16], rates: Array(rates), seeds: 4, lossNoise: 0.002)
        let linear = try sweep.analysis(noise: 3).verdict("linear")
        let gap = try #require(linear.undecided.first)
        #expect(gap.batch == 16 && gap.reason.contains("extends beyond the grid"), "\(gap)")
        guard case .rates(let more, batch: 16) = gap.decidingRuns else {
            Issue.record("\(gap)")
            return
        }
        #expect(more.count == 1 && abs(more[0] / 4.1e-3 - 1) < 0.01, "\(more)")
    }
}
