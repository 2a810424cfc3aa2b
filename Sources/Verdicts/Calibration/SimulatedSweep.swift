import Glibc

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
    /// The standard deviation of a run's loss, in nats.
    package var lossNoise = 0.004
    /// The standard deviation of a seed's ln(best rate) around that of its batch.
    package var seedNoise = 0.05
    /// The probability that a run above the best rate ends 0.1 to 0.4 nats higher.
    package var burstProbability = 0.0

    package init(_ name: String) { self.name = name }

    /// The number of steps after which runs are compared.
    private static let steps = 100
    /// The standard deviation of the offset that all runs of a seed share, in nats.
    private static let offsetNoise = 0.05
    private static let leastLoss = 2.5
    private static let contextLength = 64

    package static var design: Design { .equalSteps(steps) }

    /// Returns the loss above the best one at a distance of `z` in ln(rate) from the best rate.
    package func excess(at z: Double) -> Double {
        (z < 0 ? curvatures.below : curvatures.above) * z * z
    }

    /// Returns the regret of a rule that multiplies the base batch's best rate by B^p.
    package func regret(ofExponent p: Double, batch: Int) -> Double {
        excess(at: (p - exponent) * log(Double(batch) / Double(batches[0])))
    }

    /// Returns the runs of one repetition.
    package func points(seeds: Int, repetition: Int) -> [TrainedPoint] {
        var noise = NormalNumbers(key: UInt64(repetition) << 8 | UInt64(seeds))
        let logs = batches.map { exponent * log(Double($0) / Double(batches[0])) }
        // Each repetition shifts the grid relative to the best rates.
        let center = (logs[0] + logs[logs.count - 1]) / 2 + log(2.0) * (noise.uniform() - 0.5)
        return (0..<seeds).flatMap { seed -> [TrainedPoint] in
            let offset = Self.offsetNoise * noise.normal()
            return zip(batches, logs).flatMap { batch, log -> [TrainedPoint] in
                let best = log + seedNoise * noise.normal()
                return (0..<rateCount).map { place in
                    let rate = center + Glibc.log(2.0) * Double(place - rateCount / 2)
                    let isBurst = noise.uniform() < burstProbability && rate > best
                    let loss =
                        Self.leastLoss + offset + excess(at: rate - best)
                        + lossNoise * noise.normal() + (isBurst ? 0.1 + 0.3 * noise.uniform() : 0)
                    return TrainedPoint(
                        batch: batch, learningRate: 1e-3 * exp(rate), seed: UInt64(seed),
                        initialLoss: 4,
                        curve: [
                            CurvePoint(
                                step: Self.steps,
                                tokens: Self.steps * batch * Self.contextLength,
                                validationLoss: loss)
                        ], secondsPerStep: 0.1)
                }
            }
        }
    }
}
