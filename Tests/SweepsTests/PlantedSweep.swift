import Foundation
import Sweeps
import TestSupport
import Verdicts

/// A sweep whose losses are parabolas in ln(rate) with known optima.
struct PlantedSweep {
    var batches = [8, 16, 32, 64, 128]
    /// Learning rates with ratios of 2.
    var rates = (0..<12).map { 1e-4 * Double(1 << $0) }
    var seeds: UInt64 = 4
    /// The loss above the best one, in nats, at a distance of 1 in ln(rate) from the best rate.
    var curvature = 0.1
    /// The loss above the best one, in nats, at a distance in ln(rate) from the best rate; nil for
    /// a parabola.
    var valley: ((Double) -> Double)?
    /// The factor of the loss above the best one at each batch.
    var depth: (Int) -> Double = { _ in 1 }
    var leastLoss: (Int) -> Double = { _ in 2.5 }
    var bestRate: (Int) -> Double = { 1e-3 * (Double($0) / 8).squareRoot() }
    /// The standard deviation of a loss.
    var lossNoise = 0.004
    /// The standard deviation of ln(best rate) between a batch's seeds.
    var rateNoise = 0.1
    var diverges: (_ rate: Double, _ batch: Int) -> Bool = { _, _ in false }

    static let steps = 100
    static let contextLength = 64
    static let design = Design.equalSteps(steps)
    /// A recipe whose runs a sweep may record as planted.
    static let recipe = """
        [model]
        context_length = 64
        [training]
        steps = 100
        global_batch = 8
        [optimizer]
        learning_rate = 1e-3
        [schedule]
        name = "constant"
        """

    func points(noise seed: UInt64 = 1) -> [TrainedPoint] {
        var noise = SeededNoise(seed: seed)
        var points: [TrainedPoint] = []
        for seed in UInt64(0)..<seeds {
            // An offset that all runs of a seed share must not matter.
            let offset = 0.05 * noise.normal()
            for batch in batches {
                let best = log(bestRate(batch)) + rateNoise * noise.normal()
                for rate in rates {
                    let distance = log(rate) - best
                    let loss =
                        leastLoss(batch) + offset
                        + depth(batch)
                        * (valley?(distance) ?? curvature * distance * distance)
                        + lossNoise * noise.normal()
                    points.append(
                        .planted(
                            batch: batch, rate: rate, seed: seed, loss: loss,
                            diverged: diverges(rate, batch)))
                }
            }
        }
        return points
    }

    func analysis(
        noise seed: UInt64 = 1, settings: AnalysisSettings = AnalysisSettings()
    ) throws -> DesignAnalysis {
        var settings = settings
        settings.designs = [Self.design]
        return try Analysis(points(noise: seed), settings: settings).designs[0]
    }
}

extension TrainedPoint {
    /// Returns a run with one evaluation, after `PlantedSweep.steps`.
    static func planted(
        rule: String = grid, batch: Int, rate: Double, seed: UInt64, loss: Double,
        diverged: Bool = false
    ) -> TrainedPoint {
        TrainedPoint(
            rule: rule, batch: batch, learningRate: rate, seed: seed, diverged: diverged,
            initialLoss: 4,
            curve: diverged
                ? []
                : [
                    CurvePoint(
                        step: PlantedSweep.steps,
                        tokens: PlantedSweep.steps * batch * PlantedSweep.contextLength,
                        validationLoss: loss)
                ], secondsPerStep: 0.1)
    }
}

extension DesignAnalysis {
    func optimum(_ batch: Int) throws -> BatchOptimum {
        try unwrapped(optima.first { $0.batch == batch })
    }

    func verdict(_ rule: String, isTrained: Bool = false) throws -> RuleVerdict {
        try unwrapped(verdicts.first { $0.rule == rule && $0.isTrained == isTrained })
    }

    private func unwrapped<Value>(_ value: Value?) throws -> Value {
        guard let value else { throw Missing() }
        return value
    }

    private struct Missing: Error {}
}
