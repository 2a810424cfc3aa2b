import Glibc
import Verdicts

/// A sweep whose losses follow a known law. It shows how often verdicts are right.
package struct SimulatedSweep: Sendable {
    /// The name in tables, which states the law and its noise.
    package var name: String
    package var batches = [1, 2, 4, 8, 16, 32]
    /// The number of rates, a factor of 2 apart and centered on the batches' best rates.
    package var rateCount = 9
    /// The exponent p of the best rate, which is proportional to B^p.
    package var exponent = 0.5
    /// The ratios of the loss above the best one to the square of ln(rate / best rate), below and
    /// above the best rate.
    package var curvatures = (below: 0.06, above: 0.06)
    /// The exponent of the curvatures, which are proportional to a power of the batch.
    package var growth = 0.0
    /// The loss above the best one at which losses far from the best rate level off, or nil if they
    /// do not.
    package var depth: Double?
    /// The standard deviation of a run's loss, in nats.
    package var lossNoise = 0.004
    /// The standard deviation of a seed's ln(best rate) around that of its batch.
    package var seedNoise = 0.05
    /// The probability that a run above the best rate ends 0.1 to 0.4 nats higher.
    package var burstProbability = 0.0
    /// The growth of the noise above the best rate: at a distance of z in ln(rate), the standard
    /// deviation is `lossNoise` times exp(growth * z).
    package var noiseGrowth = 0.0

    package init(_ name: String) { self.name = name }

    /// The number of steps after which runs are compared.
    private static let steps = 100
    /// The standard deviation of the offset that all runs of a seed share, in nats.
    private static let offsetNoise = 0.05
    private static let leastLoss = 2.5
    private static let contextLength = 64
    /// The best rate of the smallest batch.
    private static let unit = 1e-3

    package static var design: Design { .equalSteps(steps) }
    /// The settings of the analysis. No run reaches the target loss, so the analysis spends no time
    /// on critical batches.
    package static var settings: AnalysisSettings {
        AnalysisSettings(designs: [design], targetLosses: [-1])
    }

    /// Returns the sweep with the true rule of a repetition; the common rules take turns.
    func ofRepetition(_ repetition: Int) -> SimulatedSweep {
        var sweep = self
        sweep.exponent = CommonRule.ofRepetition(repetition).exponent
        return sweep
    }

    /// Returns the loss above a batch's best one at a distance of `z` in ln(rate) from its best
    /// rate.
    package func excess(at z: Double, batch: Int) -> Double {
        let rise =
            (z < 0 ? curvatures.below : curvatures.above) * z * z
            * pow(Double(batch) / Double(batches[0]), growth)
        return depth.map { $0 * (1 - exp(-rise / $0)) } ?? rise
    }

    /// Returns the regret of a rule that multiplies the base batch's best rate by B^p.
    package func regret(ofExponent p: Double, batch: Int) -> Double {
        excess(at: (p - exponent) * log(Double(batch) / Double(batches[0])), batch: batch)
    }

    /// Returns the runs of a grid in one repetition.
    package func points(seeds: Int, repetition: Int) -> [TrainedPoint] {
        let center = center(repetition)
        return (0..<seeds).flatMap { seed in
            batches.flatMap { batch in
                (0..<rateCount).map { place in
                    let logRate = center + log(2.0) * Double(place - rateCount / 2)
                    return run(
                        PlannedRun(
                            batch: batch, learningRate: Self.unit * exp(logRate),
                            seed: UInt64(seed)), repetition: repetition)
                }
            }
        }
    }

    /// Returns the rates of a grid in one repetition.
    package func rates(_ repetition: Int) -> [Double] {
        let center = center(repetition)
        return (0..<rateCount).map {
            Self.unit * exp(center + log(2.0) * Double($0 - rateCount / 2))
        }
    }

    /// Returns ln(rate) of the grid's middle. Each repetition shifts the grid relative to the best
    /// rates.
    private func center(_ repetition: Int) -> Double {
        var noise = NormalNumbers(key: UInt64(repetition) << 48 | 0xFFFF_FFFF_FFFF)
        let span = exponent * log(Double(batches[batches.count - 1]) / Double(batches[0]))
        return span / 2 + log(2.0) * (noise.uniform() - 0.5)
    }

    /// Returns a run in one repetition. It is the same whenever it is asked for.
    package func run(_ run: PlannedRun, repetition: Int) -> TrainedPoint {
        let place = UInt64(batches.firstIndex(of: run.batch) ?? 0)
        let key = UInt64(repetition) << 48 | run.seed << 40
        var seedNoise = NormalNumbers(key: key | 0xFF << 32)
        let offset = Self.offsetNoise * seedNoise.normal()
        var batchNoise = NormalNumbers(key: key | place << 32)
        let best =
            exponent * log(Double(run.batch) / Double(batches[0]))
            + self.seedNoise * batchNoise.normal()
        let rate = log(run.learningRate / Self.unit)
        let bits = UInt64(UInt32(bitPattern: Int32((rate * 1e6).rounded())))
        var noise = NormalNumbers(key: key | (place + 64) << 32 | bits)
        let isBurst = noise.uniform() < burstProbability && rate > best
        let loss =
            Self.leastLoss + offset + excess(at: rate - best, batch: run.batch)
            + lossNoise * exp(noiseGrowth * max(0, rate - best)) * noise.normal()
            + (isBurst ? 0.1 + 0.3 * noise.uniform() : 0)
        return TrainedPoint(
            batch: run.batch, learningRate: run.learningRate, seed: run.seed, initialLoss: 4,
            curve: [
                CurvePoint(
                    step: Self.steps, tokens: Self.steps * run.batch * Self.contextLength,
                    validationLoss: loss)
            ], secondsPerStep: 0.1)
    }
}
