import Benchmarks
import Foundation
import TestSupport
import Testing
import Verdicts

/// Tests of what happens if the advice is followed.
@Suite struct AdviceCalibrationTests {
    @Test(
        "stated probabilities agree with the share of rules that the advised runs decide",
        arguments: ["parabola, .010, .15", "asymmetric, .010, .15"])
    func statedProbabilities(name: String) throws {
        let sweep = try #require(AdviceCalibration.cases.first { $0.name == name })
        let row = try AdviceCalibration(sweep, seeds: 3, sweeps: 18)
        #expect(row.count >= 10, "\(row)")
        // 60 sweeps agree within 0.06, as `lockstep bench verdicts --advice` shows.
        let twoStandardErrors =
            2 * (row.decided * (1 - row.decided) / Double(row.count)).squareRoot()
        #expect(abs(row.stated - row.decided) <= twoStandardErrors, "\(row)")
        #expect(row.settled >= 0.9, "\(row)")
    }

    @Test("no advice is needed where a few seeds decide")
    func littleNoise() throws {
        let row = try AdviceCalibration(SimulatedSweep("parabola"), seeds: 3, sweeps: 9)
        #expect(row.settled == 1 && row.count == 0 && row.runs == 0, "\(row)")
    }

    /// Models whose valleys differ in form, as those of the standard parametrization do.
    private struct Models {
        let key: UInt64

        static let counts = [8, 32, 128, 512]
        private static let curvatures: [(below: Double, above: Double)] = [
            (0.12, 0.5), (0.09, 0.35), (0.05, 0.25), (0.08, 0.12),
        ]
        /// The loss above the best one at which losses level off.
        private static let depth = 0.6

        /// The rates with which the models start, a factor of 2 apart.
        var rates: [Double] {
            let shift = NormalNumbers.first(key: key << 32)
            return (-4...4).map { 1e-3 * pow(2, Double($0) + 0.3 * shift) }
        }

        /// Returns a run. It is the same whenever it is asked for.
        func run(_ run: PlannedRun) -> TrainedPoint {
            let place = Self.counts.firstIndex(of: run.batch) ?? 0
            let cell = key << 32 | run.seed << 8 | UInt64(place + 1) << 4
            let best =
                log(1e-3) - 0.06 * log(Double(run.batch) / 8)
                + 0.05 * NormalNumbers.first(key: cell)
            let rate = UInt64((log(run.learningRate) * -1e6).rounded())
            let noise = 0.004 * NormalNumbers.first(key: cell << 24 | rate)
            let z = log(run.learningRate) - best
            let (below, above) = Self.curvatures[place]
            let rise = (z < 0 ? below : above) * z * z
            return .planted(
                batch: run.batch, rate: run.learningRate, seed: run.seed,
                loss: 2 + Self.depth * (1 - exp(-rise / Self.depth)) + noise)
        }

        /// Returns the transfer that these runs show.
        static func transfer(_ points: [TrainedPoint]) throws -> TransferAnalysis {
            var settings = AnalysisSettings()
            settings.tolerance = 0.02
            let runs = counts.map { count in
                SizedRuns(
                    SizedModel(name: "model \(count)", parameters: count),
                    points.filter { $0.batch == count }, design: PlantedSweep.design)
            }
            return try #require(TransferAnalysis(runs, settings: settings))
        }
    }

    @Test("rates next to the best one decide where the valley's form is the greatest error")
    func ratesNextToBest() throws {
        var (asked, decided, decidedBySeeds) = (0, 0, 0)
        for key in UInt64(1)...24 {
            let models = Models(key: key)
            func grid(_ seeds: Range<UInt64>) -> [TrainedPoint] {
                Models.counts.flatMap { count in
                    models.rates.flatMap { rate in
                        seeds.map {
                            models.run(PlannedRun(batch: count, learningRate: rate, seed: $0))
                        }
                    }
                }
            }
            let start = grid(0..<3)
            var analysis = try Models.transfer(start)
            guard case .rates(let rates, let batch)? = analysis.nextRuns?.parts.first else {
                continue
            }
            asked += 1
            // The rates are next to the best one, and between those of the grid.
            let best = try #require(analysis.optima.first { $0.batch == batch }?.optimum.best)
            for rate in rates {
                #expect(abs(log(rate / best.rate)) < 1.5 * log(2), "\(rate) \(best.rate)")
                #expect(models.rates.allSatisfy { abs(log(rate / $0)) > 0.3 }, "\(rate)")
            }
            #expect(analysis.nextRunsSentence?.contains(" with a probability ") == false)
            var points = start
            for _ in 0..<4 {
                guard let next = analysis.nextRuns else { break }
                points += next.sets.flatMap(\.runs).map(models.run)
                analysis = try Models.transfer(points)
            }
            decided += analysis.nextRuns == nil ? 1 : 0
            if analysis.nextRuns != nil {
            }
            // As many runs of more seeds at the same rates.
            let seeds = 3 + UInt64((points.count - start.count + 35) / 36)
            decidedBySeeds += try Models.transfer(grid(0..<seeds)).nextRuns == nil ? 1 : 0
        }
        #expect(asked >= 5, "\(asked)")
        #expect(10 * decided >= 9 * asked, "\(decided) of \(asked)")
        #expect(decided > decidedBySeeds, "\(decided), and \(decidedBySeeds) by seeds")
    }
}

extension NormalNumbers {
    /// Returns the first normal number of a key.
    fileprivate static func first(key: UInt64) -> Double {
        var numbers = NormalNumbers(key: key)
        return numbers.normal()
    }
}
