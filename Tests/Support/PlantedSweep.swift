import Foundation
import Verdicts

/// A sweep whose losses are parabolas in ln(rate) with known optima.
package struct PlantedSweep {
    package var batches: [Int]
    /// Learning rates with ratios of 2.
    package var rates: [Double]
    package var seeds: UInt64
    /// The loss above the best one, in nats, at a distance of 1 in ln(rate) from the best rate.
    package var curvature: Double
    /// The loss above the best one, in nats, at a distance in ln(rate) from the best rate; nil for
    /// a parabola.
    package var valley: ((Double) -> Double)?
    /// The factor of the loss above the best one at each batch.
    package var depth: (Int) -> Double
    package var leastLoss: (Int) -> Double
    package var bestRate: (Int) -> Double
    /// The standard deviation of a loss.
    package var lossNoise: Double
    /// The standard deviation of ln(best rate) between a batch's seeds.
    package var rateNoise: Double
    package var diverges: (_ rate: Double, _ batch: Int) -> Bool
    /// The seeds whose runs diverge where `diverges` says so; nil for all.
    package var divergingSeeds: Set<UInt64>?

    package static let steps = 100
    package static let contextLength = 64
    package static let design = Design.equalSteps(steps)
    /// A recipe whose runs a sweep may record as planted.
    package static let recipe = """
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

    package init(
        batches: [Int] = [8, 16, 32, 64, 128],
        rates: [Double] = (0..<12).map { 1e-4 * Double(1 << $0) },
        seeds: UInt64 = 4,
        curvature: Double = 0.1,
        valley: ((Double) -> Double)? = nil,
        depth: @escaping (Int) -> Double = { _ in 1 },
        leastLoss: @escaping (Int) -> Double = { _ in 2.5 },
        bestRate: @escaping (Int) -> Double = { 1e-3 * (Double($0) / 8).squareRoot() },
        lossNoise: Double = 0.004,
        rateNoise: Double = 0.1,
        diverges: @escaping (_ rate: Double, _ batch: Int) -> Bool = { _, _ in false },
        divergingSeeds: Set<UInt64>? = nil
    ) {
        self.batches = batches
        self.rates = rates
        self.seeds = seeds
        self.curvature = curvature
        self.valley = valley
        self.depth = depth
        self.leastLoss = leastLoss
        self.bestRate = bestRate
        self.lossNoise = lossNoise
        self.rateNoise = rateNoise
        self.diverges = diverges
        self.divergingSeeds = divergingSeeds
    }

    package func points(noise seed: UInt64 = 1) -> [TrainedPoint] {
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
                            diverged: (divergingSeeds?.contains(seed) ?? true)
                                && diverges(rate, batch)))
                }
            }
        }
        return points
    }

    package func analysis(
        noise seed: UInt64 = 1, settings: AnalysisSettings = AnalysisSettings()
    ) throws -> DesignAnalysis {
        var settings = settings
        settings.designs = [Self.design]
        return try Analysis(points(noise: seed), settings: settings).designs[0]
    }
}

extension [TrainedPoint] {
    /// The runs of the grid as a file that `lockstep analyze` reads.
    package var csv: String {
        var lines = ["batch,learning_rate,seed,diverged,step,tokens,validation_loss"]
        for point in self {
            let start = "\(point.batch),\(point.learningRate),\(point.seed),\(point.diverged),"
            lines += point.curve.map { start + "\($0.step),\($0.tokens),\($0.validationLoss)" }
            if point.curve.isEmpty { lines.append(start + ",,") }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension TrainedPoint {
    /// Returns a run with one evaluation, after `PlantedSweep.steps`.
    package static func planted(
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
    package func optimum(_ batch: Int) throws -> BatchOptimum {
        try unwrapped(optima.first { $0.batch == batch })
    }

    package func verdict(_ rule: String, isTrained: Bool = false) throws -> RuleVerdict {
        try unwrapped(verdicts.first { $0.rule == rule && $0.isTrained == isTrained })
    }

    private func unwrapped<Value>(_ value: Value?) throws -> Value {
        guard let value else { throw Missing() }
        return value
    }

    private struct Missing: Error {}
}
