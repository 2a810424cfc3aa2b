import Foundation
import Statistics
import TestSupport
import Testing

/// Tests of least squares.
@Suite struct LeastSquaresTests {
    @Test("linear fits equal NumPy's with and without weights")
    func linear() throws {
        let fits = try GoldenFits.load()
        for expected in [fits.linear, fits.weighted] {
            let fit = try #require(
                linearLeastSquares(
                    expected.x.map { [1, $0, $0 * $0] }, observations: expected.y,
                    weights: expected.weights))
            #expect(fit.degreesOfFreedom == 6)
            // NumPy's normal equations lose the square of the condition number, about 1e3.
            #expect(
                relativeDifference(fit.residualSumOfSquares, expected.residualSumOfSquares) < 1e-11)
            let covariance = fit.covariance(try #require(fit.noise))
            for i in 0..<3 {
                #expect(relativeDifference(fit.parameters[i], expected.parameters[i]) < 1e-11)
                for j in 0..<3 {
                    #expect(
                        relativeDifference(covariance[i][j], expected.covariance[i][j]) < 1e-10)
                }
                let interval = try #require(fit.estimate(i, level: 0.95).interval)
                let bounds = try #require(expected.intervals)[i]
                #expect(relativeDifference(interval.lower, bounds[0]) < 1e-10)
                #expect(relativeDifference(interval.upper, bounds[1]) < 1e-10)
            }
        }
    }

    @Test("a fit through as many points as parameters is exact and has no interval")
    func exact() throws {
        let fit = try #require(linearLeastSquares([[1, 2], [1, 4]], observations: [3, 7]))
        #expect(abs(fit.parameters[0] + 1) < 1e-14 && abs(fit.parameters[1] - 2) < 1e-14)
        #expect(fit.noise == nil && fit.estimate(1, level: 0.95).interval == nil)
    }

    @Test("dependent columns and too few rows have no fit")
    func undetermined() {
        #expect(linearLeastSquares([[1, 2], [1, 2], [1, 2]], observations: [1, 2, 3]) == nil)
        #expect(linearLeastSquares([[1, 2]], observations: [1]) == nil)
    }

    @Test("a nonlinear fit and its covariance equal SciPy's")
    func nonlinear() throws {
        let expected = try GoldenFits.load().nonlinear
        let fit = try #require(
            nonlinearLeastSquares(start: [0, 3], count: 8) { parameters in
                zip(expected.x, expected.y).map {
                    $1 - (parameters[0] - log1p(exp(parameters[1]) / $0))
                }
            })
        let covariance = fit.covariance(try #require(fit.noise))
        #expect(relativeDifference(fit.residualSumOfSquares, expected.residualSumOfSquares) < 1e-12)
        for i in 0..<2 {
            // A sum of squares is flat at its minimum, so parameters are exact to the square root
            // of the rounding error.
            #expect(relativeDifference(fit.parameters[i], expected.parameters[i]) < 1e-7)
            for j in 0..<2 {
                // Both programs compute derivatives by differences, with an error of 1e-8.
                #expect(relativeDifference(covariance[i][j], expected.covariance[i][j]) < 1e-6)
            }
        }
    }

    @Test("derivatives give the same fit, and parameters may be 0")
    func derivatives() throws {
        let x = [0.5, 1, 2, 3, 5, 8]
        let y = x.map { 0.7 * $0 - 1 + 0.1 * sin(9 * $0) }
        let residuals = { (p: [Double]) in zip(x, y).map { $1 - p[0] - exp(p[1]) * $0 } }
        let exact = try #require(
            nonlinearLeastSquares(
                start: [0, 0], count: 6, residuals: residuals,
                derivatives: { p in x.map { _ in -1 } + x.map { -exp(p[1]) * $0 } }))
        let differences = try #require(
            nonlinearLeastSquares(start: [-1, -1], count: 6, residuals: residuals))
        #expect(exact.parameters[1] < 0 && exact.parameters[0] < 0)
        for i in 0..<2 {
            #expect(relativeDifference(exact.parameters[i], differences.parameters[i]) < 1e-6)
        }
        let noise = try #require(exact.noise)
        #expect(
            relativeDifference(
                exact.covariance(noise)[1][1],
                differences.covariance(try #require(differences.noise))[1][1]) < 1e-5)
    }

    @Test("a step to a residual that is not a number is rejected without an error")
    func notFinite() throws {
        let fit = try #require(
            nonlinearLeastSquares(start: [9], count: 2) { [log($0[0]), log($0[0])] })
        #expect(abs(fit.parameters[0] - 1) < 1e-6)
        #expect(nonlinearLeastSquares(start: [1], count: 2) { _ in [.nan, 1] } == nil)
    }
}

/// Tests of parabolas.
@Suite struct ParabolaTests {
    @Test("three points give the parabola through them, also far from zero")
    func exact() throws {
        let x = [-9.2, -8.5, -7.8]
        let parabola = try #require(
            Parabola(x: x, y: x.map { 2.5 + 0.3 * ($0 + 8.3) * ($0 + 8.3) }))
        #expect(abs(try #require(parabola.vertex) + 8.3) < 1e-12)
        #expect(abs(parabola(-8.3) - 2.5) < 1e-14)
        let curvature = parabola.curvature(level: 0.95)
        #expect(abs(curvature.value - 0.3) < 1e-12 && curvature.interval == nil)
        #expect(parabola.noise == nil)
        #expect(Parabola(x: [1, 1, 2], y: [1, 2, 3]) == nil)
    }

    @Test("without a significant curvature its interval contains zero")
    func flat() throws {
        var noise = SeededNoise(seed: 3)
        let x = (0..<7).map(Double.init)
        let parabola = try #require(Parabola(x: x, y: x.map { _ in noise.normal() }))
        #expect(try #require(parabola.curvature(level: 0.95).interval).contains(0))
    }
}

/// Tests of Akaike's criterion.
@Suite struct InformationCriterionTests {
    @Test("the corrected criterion equals a hand calculation and needs enough observations")
    func corrected() throws {
        let value = try #require(
            InformationCriterion.corrected(
                residualSumOfSquares: 10, count: 10, parameterCount: 3))
        #expect(value == 0 + 6 + 24.0 / 6)
        #expect(
            InformationCriterion.corrected(residualSumOfSquares: 1, count: 4, parameterCount: 3)
                == nil)
        #expect(
            InformationCriterion.corrected(
                residualSumOfSquares: 0, count: 5, parameterCount: 2, leastVariance: 1e-18)
                == InformationCriterion.corrected(
                    residualSumOfSquares: 5e-19, count: 5, parameterCount: 2, leastVariance: 1e-18))
    }

    @Test("weights fall with exp(-delta / 2) and add up to one")
    func weights() {
        let weights = InformationCriterion.akaikeWeights([10, 12, 14])
        #expect(abs(weights.reduce(0, +) - 1) < 1e-15)
        #expect(relativeDifference(weights[1] / weights[0], exp(-1)) < 1e-14)
        #expect(InformationCriterion.akaikeWeights([]).isEmpty)
    }
}
