import Collectives
import Foundation
import Statistics
import Support
import Telemetry
import TestSupport
import Testing
import Training

/// Tests of the noise scale on lanes whose gradients are drawn around a known one with a known
/// variance.
@Suite struct NoiseScaleTests {
    private static let dimensions = 400
    private static let lanes = 8
    private static let sequencesPerLane = 2
    private static let steps = 100

    /// Returns one step's estimates. The mean gradient has the squared norm `signal`, and a
    /// sequence's gradient has the total variance `variance`.
    private static func noise(
        variance: Double, signal: Double, from random: inout SeededNoise
    ) -> GradientNoise? {
        let lanes = Double(lanes)
        let deviation = (variance / Double(dimensions * sequencesPerLane)).squareRoot()
        var partSquares = 0.0
        var sum = [Double](repeating: 0, count: dimensions)
        for _ in 0..<Self.lanes {
            for place in 0..<dimensions {
                let truth = (signal / Double(dimensions)).squareRoot()
                let part = (truth + deviation * random.normal()) / lanes
                partSquares += part * part
                sum[place] += part
            }
        }
        return GradientNoise(
            partSquares: partSquares, sumSquares: sum.reduce(0) { $0 + $1 * $1 },
            lanes: Self.lanes, sequencesPerLane: sequencesPerLane)
    }

    private static func window(
        variance: Double, signal: Double, seed: UInt64
    ) throws -> NoiseScaleWindow {
        var random = SeededNoise(seed: seed)
        var window = NoiseScaleWindow()
        for _ in 0..<steps {
            let noise = try #require(
                noise(variance: variance, signal: signal, from: &random))
            window.add(variance: noise.variance, signal: noise.signal)
        }
        return window
    }

    /// A 95 % interval contains the truth in fewer than 16 of 20 trials only once in 400 times.
    @Test("a planted noise scale is recovered", arguments: [2.0, 40.0, 300.0])
    func recoversAPlantedNoiseScale(scale: Double) throws {
        var held = 0
        for seed in 1...20 {
            let window = try Self.window(variance: scale, signal: 1, seed: UInt64(seed))
            guard case .determined(let sequences, let interval) = window.estimate else {
                Issue.record("undetermined for seed \(seed)")
                continue
            }
            #expect(interval.contains(sequences))
            // At 300 the noise of 100 steps leaves |G|^2 a standard deviation of about 14 %.
            #expect(interval.upper / interval.lower < (scale < 100 ? 2 : 4), "it says something")
            if interval.contains(scale) { held += 1 }
        }
        #expect(held >= 16, "\(held) of 20 intervals hold \(scale)")
    }

    @Test("without a signal the noise scale is undetermined")
    func isUndeterminedWithoutASignal() throws {
        var undetermined = 0
        for seed in 1...20 {
            let window = try Self.window(variance: 1000, signal: 0, seed: UInt64(seed))
            if window.estimate == .undetermined { undetermined += 1 }
        }
        // The lower end is above 0 in 2.5 % of trials.
        #expect(undetermined >= 17, "\(undetermined) of 20")
    }

    @Test("an estimate needs enough finite steps")
    func needsSomeSteps() {
        var window = NoiseScaleWindow()
        for _ in 1..<NoiseScaleWindow.fewest { window.add(variance: 1, signal: 1) }
        #expect(window.estimate == nil)
        window.add(variance: .nan, signal: 1)
        #expect(window.estimate == nil, "what is not finite is left out")
        window.add(variance: 1, signal: 1)
        #expect(window.estimate != nil)
    }

    @Test("steps that left the window do not affect the estimate")
    func forgetsOldSteps() throws {
        var window = try Self.window(variance: 2, signal: 100, seed: 5)
        let new = try Self.window(variance: 40, signal: 1, seed: 6)
        var random = SeededNoise(seed: 6)
        for _ in 0..<NoiseScaleWindow.capacity {
            let noise = try #require(Self.noise(variance: 40, signal: 1, from: &random))
            window.add(variance: noise.variance, signal: noise.signal)
        }
        #expect(window.estimate == new.estimate)
    }

    @Test("a resumed run restores its window from the log")
    func resumedRunRestoresItsWindow() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/metrics.jsonl"
        let log = try MetricsLog(creating: path)
        var random = SeededNoise(seed: 7)
        var window = NoiseScaleWindow()
        for step in 1...NoiseScaleWindow.capacity + 50 {
            let noise = try #require(Self.noise(variance: 9, signal: 1, from: &random))
            window.add(variance: noise.variance, signal: noise.signal)
            let fields: [(String, JSONValue)] = [
                ("step", .integer(step)), ("gradient_variance", .number(noise.variance)),
                ("gradient_signal", .number(noise.signal)),
            ]
            try log.append(JSONObject(fields))
            try log.append(JSONObject([("step", .integer(step))]))
        }
        var read = NoiseScaleWindow()
        for record in try MetricsLog.read(path) { read.recall(record) }
        #expect(read.estimate == window.estimate)
    }

    @Test("metrics contain the estimate and its interval, or null")
    func metricsContainTheEstimate() throws {
        let interval = Interval(lower: 10, upper: 20, level: 0.95)
        let fields = MetricsFields.noise
        func line(_ scale: NoiseScale) -> [String: JSONValue] {
            Dictionary(
                uniqueKeysWithValues: fields.compactMap { field in
                    field.value(scale).map { (field.name, $0) }
                })
        }
        #expect(
            line(.determined(sequences: 15, interval: interval)) == [
                "noise_scale": .number(15), "noise_scale_lower": .number(10),
                "noise_scale_upper": .number(20),
            ])
        #expect(line(.undetermined) == ["noise_scale": .null])
    }
}
