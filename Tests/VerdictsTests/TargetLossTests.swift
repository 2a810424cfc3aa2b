import Foundation
import TestSupport
import Testing
import Verdicts

/// Tests of steps and tokens to a loss.
@Suite struct TargetLossTests {
    /// Returns runs whose loss falls to 3 after Smin (1 + Bcrit / B) steps.
    private func points(
        batches: [Int] = [8, 16, 32, 64, 128, 256], critical: Double = 48, seeds: UInt64 = 3,
        noise: Double = 0.02
    ) -> [TrainedPoint] {
        var random = SeededNoise(seed: 11)
        var points: [TrainedPoint] = []
        for batch in batches {
            for seed in 0..<seeds {
                let steps =
                    200 * (1 + critical / Double(batch)) * exp(noise * random.normal())
                for (rate, slow) in [(0.5e-3, 1.3), (1e-3, 1.0), (2e-3, 1.3)] {
                    // The loss is a straight line in ln(step), so interpolation between evaluations
                    // is exact.
                    let curve = stride(from: 25, through: 3000, by: 25).map { step in
                        CurvePoint(
                            step: step, tokens: step * batch * 64,
                            validationLoss: 3 - log(Double(step) / (steps * slow)))
                    }
                    points.append(
                        TrainedPoint(
                            batch: batch, learningRate: rate, seed: seed, initialLoss: 10,
                            curve: curve, secondsPerStep: 0.02 + 0.001 * Double(batch)))
                }
            }
        }
        return points
    }

    private func target(_ points: [TrainedPoint], loss: Double = 3) throws -> TargetLoss {
        let settings = AnalysisSettings(designs: [.equalSteps(200)], targetLosses: [loss])
        return try Analysis(points, settings: settings).designs[0].targets[0]
    }

    @Test("without noise the hyperbola's critical batch is the planted one in both conventions")
    func exact() throws {
        let result = try target(points(noise: 0))
        let critical = try #require(result.criticalBatch)
        // Least squares stop when the sum no longer falls, at the square root of the rounding
        // error.
        #expect(abs(critical.sequences.value / 48 - 1) < 1e-5)
        #expect(abs(critical.tokens.value / (48 * 64) - 1) < 1e-5)
        #expect(abs(critical.leastSteps.value / 200 - 1) < 1e-5)
        #expect(abs(critical.leastTokens.value / (200 * 48 * 64) - 1) < 1e-5)
        #expect(abs(critical.twentyPercentSequences.value / 9.6 - 1) < 1e-5)
        #expect(critical.outside == nil && critical.basis == .seeds(3))
        for cost in result.costs {
            let steps = 200 * (1 + 48 / Double(cost.batch))
            // The best rate is found at 1e-3 exactly by symmetry.
            #expect(abs(try #require(cost.steps).value / steps - 1) < 1e-9)
            #expect(abs(cost.rate / 1e-3 - 1) < 1e-9)
        }
        // The seconds are (0.02 + 0.001 B) 200 (1 + 48 / B), with the minimum at B = sqrt(48 * 20)
        // = 31.
        #expect(result.fastestBatch == 32)
    }

    @Test("the time to a loss does not depend on what else the machine did during a run")
    func busyMachine() throws {
        // The runs of one rate, which is the best one, were five times slower at batch 32.
        let busy = points(noise: 0).map { point in
            point.batch == 32 && abs(point.learningRate / 1e-3 - 1) < 1e-9
                ? TrainedPoint(
                    batch: 32, learningRate: point.learningRate, seed: point.seed,
                    initialLoss: 10, curve: point.curve,
                    secondsPerStep: 5 * point.secondsPerStep)
                : point
        }
        #expect(try target(busy) == target(points(noise: 0)))
        #expect(try target(busy).fastestBatch == 32)
    }

    @Test("with noise the interval contains the planted critical batch")
    func noisy() throws {
        let critical = try #require(try target(points()).criticalBatch)
        #expect(try #require(critical.sequences.interval).contains(48))
        #expect(try #require(critical.leastSteps.interval).contains(200))
        #expect(critical.basis == .seeds(3))
    }

    @Test("one seed takes its interval from the fit's covariance")
    func oneSeed() throws {
        let critical = try #require(try target(points(seeds: 1)).criticalBatch)
        #expect(critical.basis == .covariance)
        #expect(try #require(critical.sequences.interval).contains(48))
    }

    @Test("batches far below the critical one show only that it is above them")
    func outside() throws {
        let critical = try #require(
            try target(
                points(batches: [1, 2, 4], critical: 1e7, noise: 0).map {
                    // Fewer steps reach the same losses, so that the target is reached.
                    TrainedPoint(
                        batch: $0.batch, learningRate: $0.learningRate, seed: $0.seed,
                        initialLoss: 4,
                        curve: $0.curve.map { mark in
                            CurvePoint(
                                step: mark.step * 1_000_000, tokens: mark.tokens * 1_000_000,
                                validationLoss: mark.validationLoss - log(1_000_000))
                        }, secondsPerStep: 0)
                }
            ).criticalBatch)
        #expect(critical.outside == .above && critical.basis == .none)
        #expect(critical.sequences.interval == nil)
    }

    @Test("a target that is not reached has no cost and no critical batch")
    func notReached() throws {
        let result = try target(points(), loss: -100)
        #expect(result.costs.count == 6)
        #expect(result.costs.allSatisfy { $0.steps == nil && $0.tokens == nil })
        #expect(result.criticalBatch == nil && result.fastestBatch == nil)
    }

    @Test(
        "a loss reached before the first evaluation is a bound and not part of the critical batch")
    func reachedAtFirst() throws {
        // Reaching 5.2 takes exp(-2.2) of the steps to 3: 23.9 steps at 256, where the first
        // evaluation is at 25.
        let result = try target(points(critical: 20, noise: 0), loss: 5.2)
        let early = result.costs.filter(\.isUpperBound)
        #expect(early.map(\.batch) == [256])
        #expect(abs(try #require(early[0].steps).value / 25 - 1) < 1e-12)
        #expect(result.fastestBatch == nil)
        let critical = try #require(result.criticalBatch)
        #expect(abs(critical.sequences.value / 20 - 1) < 1e-5)
        #expect(result.sentences[0].hasPrefix("The first evaluation at B = 256 already"))
    }

    @Test("targets are chosen that no run has reached at its first evaluation")
    func chosenTargets() throws {
        let settings = AnalysisSettings(designs: [.equalSteps(200)])
        let analysis = try Analysis(points(noise: 0), settings: settings).designs[0]
        #expect((1...3).contains(analysis.targets.count))
        #expect(
            analysis.targets.dropFirst().allSatisfy { !$0.costs.contains(where: \.isUpperBound) })
    }

    @Test("the critical batch's interval is wide if steps do not follow a hyperbola")
    func noHyperbola() throws {
        // Steps follow B^-1/4, which no critical batch gives: 8 times fewer steps for 4096 times
        // the batch.
        var random = SeededNoise(seed: 2)
        let points = points(noise: 0).map { point in
            let slow = exp(0.003 * random.normal())
            let fitted = 200 * (1 + 48 / Double(point.batch))
            let ratio = 400 * pow(Double(point.batch), -0.25) * slow / fitted
            return TrainedPoint(
                batch: point.batch, learningRate: point.learningRate, seed: point.seed,
                initialLoss: 10,
                curve: point.curve.map {
                    CurvePoint(
                        step: $0.step, tokens: $0.tokens,
                        validationLoss: $0.validationLoss + log(ratio))
                }, secondsPerStep: 0.02)
        }
        let critical = try #require(try target(points).criticalBatch)
        let interval = try #require(critical.sequences.interval)
        #expect(interval.upper / interval.lower > 5, "\(interval)")
    }

    @Test("steps to a loss are interpolated in ln(step) between evaluations")
    func interpolation() throws {
        let point = TrainedPoint(
            batch: 4, learningRate: 1e-3, seed: 0, initialLoss: 5,
            curve: [
                CurvePoint(step: 10, tokens: 40, validationLoss: 4),
                CurvePoint(step: 30, tokens: 120, validationLoss: 3),
                CurvePoint(step: 40, tokens: 160, validationLoss: 3.5),
            ], secondsPerStep: 1)
        #expect(point.steps(to: 4.5) == 10, "a bound: nothing was measured before")
        #expect(abs(try #require(point.steps(to: 3.25)) / (10 * pow(3, 0.75)) - 1) < 1e-12)
        #expect(point.steps(to: 3) == 30)
        #expect(point.steps(to: 2.9) == nil)
    }
}
