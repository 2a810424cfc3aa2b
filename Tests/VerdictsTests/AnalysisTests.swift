import Foundation
import Support
import TestSupport
import Testing
import Verdicts

/// Tests of the analysis of a sweep.
@Suite struct AnalysisTests {
    @Test("a design takes a run's loss at its mark, interpolated between evaluations")
    func designs() {
        let point = TrainedPoint(
            batch: 4, learningRate: 1e-3, seed: 0, initialLoss: 5,
            curve: [
                CurvePoint(step: 10, tokens: 400, validationLoss: 4),
                CurvePoint(step: 20, tokens: 800, validationLoss: 3),
            ], secondsPerStep: 1)
        #expect(point.loss(at: .equalSteps(10)) == 4)
        #expect(point.loss(at: .equalSteps(15)) == 3.5)
        #expect(point.loss(at: .equalSteps(5)) == 4.5)
        #expect(point.loss(at: .equalTokens(600)) == 3.5)
        #expect(point.loss(at: .equalTokens(800)) == 3)
        // 839 tokens are 20 whole steps.
        #expect(point.loss(at: .equalTokens(839)) == 3)
        #expect(point.loss(at: .equalTokens(840)) == nil)
        #expect(point.loss(at: .equalSteps(21)) == nil)
    }

    @Test("by default both designs are reported, at the last marks that all batches reach")
    func furthest() throws {
        let analysis = try Analysis(PlantedSweep().points())
        // The smallest batch has the fewest tokens in as many steps.
        #expect(
            analysis.designs.map(\.design) == [.equalTokens(100 * 8 * 64), .equalSteps(100)])
        #expect(analysis.baseBatch == 8 && analysis.tolerance == 0.01)
    }

    @Test("equal tokens and equal steps differ if the loss depends on both")
    func designsDiffer() throws {
        // The product of rate and steps decides the loss, so the best rate is constant at equal
        // steps and proportional to the batch at equal tokens.
        var points: [TrainedPoint] = []
        for batch in [8, 16, 32, 64] {
            for seed in UInt64(0)..<3 {
                for rate in (0..<12).map({ 1e-4 * Double(1 << $0) }) {
                    let curve = [50, 100, 200, 400].map { step in
                        let distance = log(rate * Double(step) / (0.4 + 0.02 * Double(seed)))
                        return CurvePoint(
                            step: step, tokens: step * batch * 64,
                            validationLoss: 2.5 + 0.1 * distance * distance)
                    }
                    points.append(
                        TrainedPoint(
                            batch: batch, learningRate: rate, seed: seed, initialLoss: 4,
                            curve: curve, secondsPerStep: 0.1))
                }
            }
        }
        let designs = try Analysis(points).designs
        let exponents = try designs.map { try #require($0.exponent.exponent).value }
        #expect(abs(exponents[0] - 1) < 1e-9 && abs(exponents[1]) < 1e-9)
        #expect(try designs[0].verdict("linear").conclusion == .holds(upTo: 64))
        #expect(try designs[1].verdict("none").conclusion == .holds(upTo: 64))
    }

    @Test("sensitivity is the mean excess over ln(rate), capped at the initial loss")
    func sensitivity() throws {
        let losses: [(Double, Double, Bool)] = [
            (1e-3, 3, false), (2e-3, 2, false), (4e-3, 2.5, false), (8e-3, 9, false),
            (16e-3, 0, true),
        ]
        let points = losses.flatMap { rate, loss, diverged in
            [0, 1].map {
                TrainedPoint.planted(
                    batch: 8, rate: rate, seed: $0, loss: loss, diverged: diverged)
            }
        }
        let analysis = try Analysis(
            points, settings: AnalysisSettings(designs: [PlantedSweep.design]))
        let sensitivity = try #require(analysis.designs[0].sensitivities.first)
        // ((1 + 0) / 2 + (0 + .5) / 2 + (.5 + 2) / 2 + (2 + 2) / 2) / 4, with an initial loss of 4.
        #expect(abs(sensitivity.value.value - 1) < 1e-12)
        #expect(abs(sensitivity.lowestRate / 1e-3 - 1) < 1e-12)
        #expect(abs(sensitivity.highestRate / 16e-3 - 1) < 1e-12)
    }

    @Test("the summary contains every verdict")
    func summary() throws {
        let analysis = try Analysis(PlantedSweep(rateNoise: 0.03).points())
        let summary = analysis.summary
        for design in analysis.designs {
            #expect(summary.contains("By \(design.design.name): \(design.sentence)"))
            for verdict in design.verdicts { #expect(summary.contains(verdict.sentence)) }
            #expect(summary.contains(design.exponent.sentence))
        }
        #expect(!summary.contains("nan") && !summary.contains("Optional"))
    }

    @Test("impossible and repeated runs are refused")
    func refusals() throws {
        let good = TrainedPoint.planted(batch: 8, rate: 1e-3, seed: 0, loss: 3)
        let cases: [([TrainedPoint], AnalysisSettings, Failure.Code, String)] = [
            ([], AnalysisSettings(), .badData, "train a grid of rates"),
            (
                [good, good], AnalysisSettings(), .badData,
                "the run of rule \"grid\" at batch 8 with rate 0.001 and seed 0: is in the sweep "
                    + "twice; leave one of them out."
            ),
            (
                [.planted(batch: 8, rate: -1, seed: 0, loss: 3)], AnalysisSettings(), .badData,
                "a rate that is not a positive number"
            ),
            (
                [.planted(batch: 8, rate: 1e-3, seed: 0, loss: .nan)], AnalysisSettings(),
                .badData, "not marked as diverged"
            ),
            (
                [good], AnalysisSettings(tolerance: 0), .usage,
                "--tolerance 0.0: must be a number of nats above 0; try 0.01."
            ),
            (
                [good], AnalysisSettings(level: 95), .usage,
                "level = 95.0: must be between 0 and 1; try 0.95."
            ),
        ]
        for (points, settings, code, phrase) in cases {
            let failure = try #require(throws: Failure.self) {
                try Analysis(points, settings: settings)
            }
            #expect(failure.code == code && failure.sentence.contains(phrase), "\(failure)")
        }
        #expect(try Analysis([good]).designs.count == 2)
        // This is the state of a sweep that is still running.
        let early = try Analysis([good], settings: AnalysisSettings(baseBatch: 9)).designs[0]
        #expect(early.verdicts.isEmpty && early.sentence.contains("base batch has ended"))
    }
}
