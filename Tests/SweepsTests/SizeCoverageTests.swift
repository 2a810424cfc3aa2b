import Foundation
import Recipes
import Sweeps
import TestSupport
import Testing
import Verdicts

/// Tests of the intervals of joint fits on many sweeps with planted truths.
@Suite struct SizeCoverageTests {
    private static let truth: [JointRateFit.Variable: Double] = [
        .parameters: -0.3, .tokens: -0.1, .batch: 0.5,
    ]

    /// Returns a specification with four widths, two batches and some comparisons.
    private func specification(_ marks: String) throws -> SweepSpecification {
        try SweepSpecification(
            toml: """
                recipe = "r.toml"
                widths = [16, 32, 64, 128]
                parametrizations = ["standard"]
                batches = [8, 32]
                learning_rates = [1e-3, 2e-3, 4e-3]
                seeds = [1, 2, 3]
                tolerance = 100
                \(marks)
                """, name: "sweep.toml"
        ) { _ in
            """
            [model]
            layers = 2
            heads = 2
            width = 16
            context_length = 64
            [schedule]
            name = "constant"
            """
        }
    }

    /// Returns the joint fit of planted runs. Seeds differ in their best rate, by as much after any
    /// number of tokens.
    private func fit(_ specification: SweepSpecification, noise seed: UInt64) throws -> JointRateFit
    {
        var noise = SeededNoise(seed: seed)
        let members = try specification.members.map { member in
            let size = log(Double(member.parameterCount) / 6592)
            var points: [TrainedPoint] = []
            for batch in [8, 32] {
                for seed in UInt64(1)...3 {
                    let deviation = 0.1 * noise.normal()
                    for place in -6...5 {
                        let rate = 1e-3 * pow(2, Double(place))
                        let offset = 0.004 * noise.normal()
                        let curve = [1 << 18, 1 << 20, 1 << 22].map { tokens in
                            let best =
                                log(2e-3) - 0.3 * size - 0.1 * log(Double(tokens) / 1e6)
                                + 0.5 * log(Double(batch) / 8) + deviation
                            let distance = log(rate) - best
                            return CurvePoint(
                                step: tokens / (64 * batch), tokens: tokens,
                                validationLoss: 2.5 - 0.05 * size
                                    - 0.1 * log(Double(tokens) / 1e6) + 0.06 * distance * distance
                                    + offset + 0.002 * noise.normal())
                        }
                        points.append(
                            TrainedPoint(
                                batch: batch, learningRate: rate, seed: seed, initialLoss: 8,
                                curve: curve, secondsPerStep: 0))
                    }
                }
            }
            return (member: member, points: points)
        }
        return try #require(specification.sizeFindings(members, analyses: []).fits.first?.fit)
    }

    @Test(
        "the intervals of 60 planted sweeps contain the planted exponents",
        arguments: [
            ("tokens = [262144, 1048576, 4194304]\nsteps = []", 24),
            ("tokens = [4194304]\nsteps = [2048]", 12), ("tokens = [4194304]\nsteps = []", 8),
        ])
    func coverage(marks: String, bestRates: Int) throws {
        let specification = try specification(marks)
        var contained: [JointRateFit.Variable: Int] = [:]
        var widths: [Double] = []
        for seed in UInt64(1)...60 {
            let fit = try fit(specification, noise: seed)
            // At batch 32, 2048 steps are the same 4,194,304 tokens.
            #expect(fit.count == bestRates && fit.clusterCount == 8)
            for (variable, exponent) in fit.exponents {
                let truth = try #require(Self.truth[variable])
                let interval = try #require(exponent.interval)
                contained[variable, default: 0] += interval.contains(truth) ? 1 : 0
                if variable == .parameters { widths.append(interval.width) }
            }
        }
        #expect(contained.count == (bestRates == 8 ? 2 : 3))
        for (variable, count) in contained { #expect(count >= 53, "\(variable): \(count)") }
        // Wide intervals would contain the truth, too.
        #expect(widths.reduce(0, +) / 60 < 0.15, "\(widths)")
    }
}
