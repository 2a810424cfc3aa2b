import Foundation
import TestSupport
import Testing
import Verdicts

extension RateModel {
    /// Returns the local exponent d ln(rate) / d ln(B) at a batch.
    func localExponent(at batch: Double) -> Double {
        func value(_ name: String) -> Double {
            parameters.first { $0.name == name }?.estimate.value ?? 1
        }
        switch law {
        case .constant: return 0
        case .squareRoot: return 0.5
        case .linear: return 1
        case .power: return value("exponent")
        case .saturating, .saturatingPower:
            // The saturating law has no such parameter, and its exponent is 1.
            return value("exponent") / (1 + batch / value("Bn"))
        case .surge:
            let scale = value("Bn")
            return 0.5 * (scale - batch) / (scale + batch)
        }
    }
}

/// Tests of laws of the best rate.
@Suite struct ModelComparisonTests {
    private let batches = [8, 16, 32, 64, 128, 256, 512, 1024]

    /// Returns the best constant rate of SGD on a noisy quadratic: lr_max / (1 + Bn / B).
    private func saturating(_ batch: Int) -> Double { 0.05 / (1 + 100 / Double(batch)) }

    @Test("on a noisy quadratic the saturating law is chosen and gives its local exponents")
    func noisyQuadratic() throws {
        let sweep = PlantedSweep(batches: batches, bestRate: saturating, rateNoise: 0.05)
        let models = try sweep.analysis().models
        let best = try #require(models.best)
        #expect(best.law == .saturating)
        let scale = try #require(best.parameters.first { $0.name == "Bn" }?.estimate)
        #expect(try #require(scale.interval).contains(100))
        // d ln(rate) / d ln(B) = 1 / (1 + B / Bn) with the fitted Bn.
        for (ratio, exponent) in [(0.01, 0.990), (1.0, 0.500), (10, 0.091)] {
            #expect(abs(best.localExponent(at: ratio * scale.value) - exponent) < 5e-4)
            // The planted Bn includes the error of the fitted one, about 5 %.
            #expect(abs(best.localExponent(at: ratio * 100) - exponent) < 0.05)
        }
        let weights = models.models.compactMap(\.weight)
        #expect(abs(weights.reduce(0, +) - 1) < 1e-12)
        #expect(models.refused.isEmpty)
    }

    /// A step of SGD leaves (1 - rate)^2 + rate^2 Bn / B of a quadratic's loss. Such losses are not
    /// parabolas in ln(rate), but must show the exponents of the best rate 1 / (1 + Bn / B).
    @Test(
        "losses of a noisy quadratic show SGD's exponent at a batch",
        arguments: [(0.01, 0.99), (1, 0.5), (10, 0.09)])
    func stepsOnANoisyQuadratic(ratio: Double, exponent: Double) throws {
        let noiseScale = 2000.0
        var noise = SeededNoise(seed: 3)
        var points: [TrainedPoint] = []
        for seed in UInt64(0)..<4 {
            for part in [0.5, 0.7, 1, 1.4, 2] {
                let batch = Int((ratio * noiseScale * part).rounded())
                let variance = noiseScale / Double(batch)
                let least = variance / (1 + variance)
                for rate in (0..<22).map({ 1e-3 * pow(2, Double($0) / 2) }) {
                    let left = (1 - rate) * (1 - rate) + rate * rate * variance
                    // The depth is the same for all batches: 0.3 nats from no step to the best one.
                    let loss = 2 + 0.3 * (left - least) / (1 - least)
                    points.append(
                        .planted(
                            batch: batch, rate: rate, seed: seed,
                            loss: loss + 0.001 * noise.normal(),
                            diverged: loss > 4))
                }
            }
        }
        let found = try Analysis(points, settings: AnalysisSettings(designs: [PlantedSweep.design]))
            .designs[0].exponent
        let estimate = try #require(found.exponent)
        #expect(abs(estimate.value - exponent) < 0.03, "\(estimate)")
    }

    @Test("the law is undecided while the free power cannot be judged or fits as well")
    func lawSentence() throws {
        // Four batches of B^0.3 are nearer to the square root than to a constant.
        let few = PlantedSweep(
            batches: [8, 16, 32, 64], bestRate: { 1e-3 * pow(Double($0) / 8, 0.3) },
            rateNoise: 0.01)
        let open = try #require(try few.analysis().lawSentence)
        #expect(
            open
                == "Of these laws, square root is the nearest, but the exponent's interval excludes it; "
                + "train at least 2 more batches.")
        let noisy = PlantedSweep(
            batches: [8, 16, 32, 64], bestRate: { 1e-3 * pow(Double($0) / 8, 0.3) },
            rateNoise: 0.2)
        let undecided = try #require(try noisy.analysis().lawSentence)
        #expect(
            undecided.contains("undecided")
                && undecided.hasSuffix("; train at least 2 more batches."), "\(undecided)")
        let many = PlantedSweep(
            batches: [4, 8, 16, 32, 64, 128, 256, 512], rateNoise: 0.03)
        let settled = try #require(try many.analysis().lawSentence)
        #expect(settled.contains("square root fits best"), "\(settled)")
    }

    @Test("each law is chosen for rates that follow it")
    func each() throws {
        let laws: [(RateLaw, (Double) -> Double)] = [
            (.constant, { _ in 0.01 }), (.squareRoot, { 0.01 * $0.squareRoot() }),
            (.linear, { 0.001 * $0 }), (.power, { 0.01 * pow($0, 0.3) }),
            (.saturating, { 0.05 / (1 + 90 / $0) }),
            (.saturatingPower, { 0.05 / pow(1 + 90 / $0, 0.7) }),
            (.surge, { 0.05 / (0.5 * ((90 / $0).squareRoot() + ($0 / 90).squareRoot())) }),
        ]
        for (law, rate) in laws {
            let comparison = ModelComparison(
                batches: batches, rates: batches.map { rate(Double($0)) }, level: 0.95)
            #expect(comparison.best?.law == law)
            #expect(try #require(comparison.best?.delta) == 0)
        }
    }

    @Test("the planted parameters are found")
    func parameters() throws {
        let comparison = ModelComparison(
            batches: batches, rates: batches.map { 0.05 / pow(1 + 90 / Double($0), 0.7) },
            level: 0.95)
        let parameters = try #require(comparison.best?.parameters)
        for (parameter, value) in zip(parameters, [0.05, 90, 0.7]) {
            // Least squares stop when the sum no longer falls, at the square root of the rounding
            // error.
            #expect(abs(parameter.estimate.value / value - 1) < 1e-5, "\(parameter.name)")
        }
        #expect(parameters.map(\.name) == ["rate_max", "Bn", "exponent"])
    }

    @Test("laws with too many parameters for the batches are refused")
    func refused() {
        func refused(_ count: Int) -> [RateLaw] {
            let some = Array(batches.prefix(count))
            return ModelComparison(
                batches: some, rates: some.map { 0.01 * pow(Double($0), 0.4) }, level: 0.95
            ).refused
        }
        #expect(refused(1) == RateLaw.allCases)
        #expect(refused(3) == RateLaw.allCases)
        #expect(refused(4) == [.power, .saturating, .saturatingPower, .surge])
        #expect(refused(5) == [.saturatingPower])
        #expect(refused(6).isEmpty)
    }

    @Test("a noise scale far above all batches is reported as such, without a number")
    func outside() throws {
        let comparison = ModelComparison(
            batches: batches, rates: batches.map { 1e-4 * Double($0) }, level: 0.95)
        let model = try #require(comparison.models.first { $0.law == .saturating })
        #expect(model.noiseScaleOutside == .above)
        #expect(model.parameters.allSatisfy { $0.estimate.interval == nil })
        #expect(abs(model.localExponent(at: 100) - 1) < 1e-3)
    }
}
