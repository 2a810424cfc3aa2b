import Foundation
import TestSupport
import Testing
import Verdicts

/// Tests of sweeps whose seeds have few rates each, as planned sweeps have. Two runs of a seed
/// determine its least loss and best rate, so only the third one shows the noise.
@Suite struct SeedsWithFewRatesTests {
    /// The losses of a small GPT by batch, for each seed from 1 on. They leap above the best rate.
    private static let losses: [Int: [[Double: Double]]] = [
        2: [
            [
                0.001: 1.9839, 0.002: 1.8942, 0.00282843: 1.8728, 0.00336359: 1.8622,
                0.004: 1.8802, 0.00475683: 2.0584, 0.00565685: 2.1212, 0.008: 2.2624,
                0.016: 2.3065,
            ],
            [0.002: 1.8867, 0.00282843: 1.8908, 0.00336359: 1.8769, 0.004: 1.8813, 0.008: 2.2159],
            [0.002: 1.9006, 0.00282843: 1.8901, 0.00336359: 1.8858, 0.004: 1.8871, 0.008: 2.2761],
            [0.002: 1.8966, 0.00336359: 1.8794, 0.008: 2.1987],
            [0.002: 1.9029, 0.00336359: 1.8876, 0.008: 2.1129],
            [0.002: 1.9024, 0.00336359: 1.8936, 0.008: 2.0513],
            [0.002: 1.8842, 0.00336359: 1.8723, 0.008: 2.0553],
            [0.002: 1.8912, 0.00336359: 1.8829, 0.008: 2.1487],
            [0.002: 1.9019, 0.00336359: 1.9128, 0.008: 2.0487],
            [0.002: 1.8922, 0.004: 1.8663, 0.008: 2.1471],
            [0.002: 1.8899, 0.004: 1.8722, 0.008: 2.2070],
        ],
        8: [
            [0.002: 2.0105, 0.004: 1.9270, 0.00565685: 1.9583, 0.008: 2.0637],
            [0.002: 2.0174, 0.004: 1.9647, 0.008: 2.2516],
            [0.002: 2.0272, 0.004: 1.9606, 0.008: 2.1784],
            [0.002: 2.0201, 0.004: 1.9353, 0.008: 2.1446],
            [0.002: 2.0256, 0.004: 1.9388, 0.008: 2.2071],
            [0.002: 2.0254, 0.004: 1.9196, 0.00565685: 1.9931],
            [0.002: 2.0360, 0.004: 1.9350, 0.00565685: 1.9584],
        ],
        32: [
            [
                0.001: 2.3640, 0.002: 2.2445, 0.004: 2.1283, 0.008: 2.1286, 0.016: 2.2123,
                0.064: 2.5861,
            ],
            [0.002: 2.2744, 0.004: 2.1493, 0.008: 2.0852],
            [0.002: 2.2918, 0.004: 2.1825, 0.008: 2.2864],
            [0.002: 2.2496, 0.008: 2.1382, 0.016: 2.3250],
            [0.002: 2.2680, 0.004: 2.1339, 0.016: 2.3234],
            [0.002: 2.2564, 0.004: 2.1512, 0.008: 2.1577],
            [0.002: 2.2926, 0.004: 2.1820, 0.008: 2.2792],
        ],
    ]

    private static let points = losses.flatMap { batch, seeds in
        seeds.enumerated().flatMap { place, losses in
            losses.map { rate, loss in
                TrainedPoint.planted(
                    batch: batch, rate: rate, seed: UInt64(place + 1), loss: loss)
            }
        }
    }.sorted { ($0.batch, $0.seed, $0.learningRate) < ($1.batch, $1.seed, $1.learningRate) }

    @Test("batches have a best rate if every seed has half of the rates")
    func structuredCoverage() throws {
        var (known, count) = (0, 0)
        for noise in UInt64(1)...20 {
            let sweep = PlantedSweep(
                batches: [8, 16, 32], rates: (0..<6).map { 5e-4 * Double(1 << $0) }, seeds: 9,
                curvature: 0.1, bestRate: { _ in 2.5e-3 }, lossNoise: 0.01, rateNoise: 0.05)
            // The seeds have three neighboring rates each, at both ends and in the middle.
            let points = sweep.points(noise: noise).filter { point in
                let place = Int((log2(point.learningRate / 5e-4)).rounded())
                return (0...2).contains(place - Int(point.seed % 4))
            }
            let optima = try Analysis(
                points, settings: AnalysisSettings(designs: [PlantedSweep.design])
            ).designs[0].optima
            known += optima.count { $0.optimum.best != nil }
            count += optima.count
        }
        #expect(Double(known) >= 0.98 * Double(count), "\(known) of \(count)")
    }

    private var settings: AnalysisSettings {
        var settings = AnalysisSettings(designs: [PlantedSweep.design], targetLosses: [-1])
        settings.seedsShareRates = false
        return settings
    }

    @Test("runs that fit exactly do not hide the noise of the others")
    func noise() throws {
        let optima = try Analysis(Self.points, settings: settings).designs[0].optima
        try #require(optima.count == 3)
        for optimum in optima {
            // The losses of two seeds at one rate differ by 0.01 and more.
            #expect(try #require(optimum.noise) > 0.005, "\(optimum.batch)")
            guard let interval = optimum.optimum.best?.interval else { continue }
            #expect(interval.upper / interval.lower > 1.2, "\(optimum.batch): \(interval)")
        }
    }

    @Test("further seeds train at rates to which a valley is fitted")
    func rates() throws {
        let batches = [2, 8, 32]
        let planner = RunPlanner(
            startRates: Dictionary(
                uniqueKeysWithValues: batches.map { ($0, [1e-3, 2e-3, 4e-3, 8e-3]) }),
            baseBatch: 2, seeds: [1, 2, 3], settings: settings)
        var noise = SeededNoise(seed: 3)
        var points: [TrainedPoint] = []
        while points.count < 150, case .runs(let runs) = planner.next(after: points) {
            points += runs.map { run in
                // The loss leaps at 1.6 times the best rate.
                let distance = log(run.learningRate / (2e-3 * pow(Double(run.batch) / 2, 0.2)))
                let loss = 2 + 0.1 * distance * distance + (distance > 0.5 ? 0.3 : 0)
                return .planted(
                    batch: run.batch, rate: run.learningRate, seed: run.seed,
                    loss: loss + 0.03 * noise.normal())
            }
        }
        let optima = try Analysis(points, settings: settings).designs[0].optima
        let later = points.filter { $0.seed > 3 }
        try #require(later.count >= 9)
        let outside = try later.filter { point in
            let bounds = try #require(optima.first { $0.batch == point.batch }?.bounds)
            let logRate = log(point.learningRate)
            return logRate < bounds.lowerBound - 0.01 || logRate > bounds.upperBound + 0.01
        }
        // A window may shrink after a seed was trained.
        #expect(outside.count <= later.count / 6, "\(outside.count) of \(later.count)")
    }
}
