import Foundation
import Statistics
import TestSupport
import Testing

/// Tests of least squares with errors that the members of a cluster share.
@Suite struct ClusteredFitTests {
    /// The rows of four members in each of six clusters: a constant, a number of the cluster and one
    /// of the member.
    private static let rows: [[Double]] = (0..<6).flatMap { cluster -> [[Double]] in
        (0..<4).map { [1, Double(cluster), Double($0)] }
    }
    private static let clusters = (0..<6).flatMap { Array(repeating: $0, count: 4) }

    private func fit(_ observations: [Double]) throws -> ClusteredFit {
        try #require(
            ClusteredFit(
                Self.rows, observations: observations, weights: Self.rows.map { _ in 1 },
                clusters: Self.clusters))
    }

    @Test("parameters are those of least squares, and the sums of derivatives and observations")
    func parameters() throws {
        var noise = SeededNoise(seed: 5)
        let observations = Self.rows.map { row -> Double in
            2 + 0.5 * row[1] - row[2] + noise.normal()
        }
        let fit = try fit(observations)
        let plain = try #require(linearLeastSquares(Self.rows, observations: observations))
        for place in 0..<3 {
            #expect(abs(fit.parameters[place] - plain.parameters[place]) < 1e-12)
            let sum = zip(fit.derivatives[place], observations).reduce(0) { $0 + $1.0 * $1.1 }
            #expect(abs(sum - plain.parameters[place]) < 1e-12)
        }
    }

    @Test("intervals contain the truth as often as their level says if clusters err together")
    func coverage() throws {
        let truth: [Double] = [2, 0.5, -1]
        var contained = [0, 0, 0]
        var naive = 0
        for repetition in UInt64(1)...400 {
            var noise = SeededNoise(seed: repetition)
            let shared = (0..<6).map { _ in noise.normal() }
            let observations = zip(Self.rows, Self.clusters).map { row, cluster -> Double in
                let error = shared[cluster] + 0.2 * noise.normal()
                return zip(row, truth).reduce(error) { $0 + $1.0 * $1.1 }
            }
            let fit = try fit(observations)
            for place in 0..<3 {
                let interval = fit.spreads[place].interval(
                    around: fit.parameters[place], level: 0.95)
                contained[place] += interval.contains(truth[place]) ? 1 : 0
            }
            let plain = try #require(linearLeastSquares(Self.rows, observations: observations))
            let interval = try #require(plain.estimate(1, level: 0.95).interval)
            naive += interval.contains(0.5) ? 1 : 0
        }
        // With few clusters, the errors are rather too large, so there is no upper limit.
        for count in contained { #expect(count >= 368, "\(contained)") }
        // Independent errors would be too small.
        #expect(naive < 320, "\(naive)")
    }

    @Test("a parameter that one cluster determines has no errors")
    func oneClusterDecides() {
        let rows = [[1.0, 0], [1, 0], [1, 0], [1, 1]]
        #expect(
            ClusteredFit(
                rows, observations: [1, 2, 3, 4], weights: [1, 1, 1, 1], clusters: [0, 1, 2, 3])
                == nil)
    }

    @Test("degrees of freedom add as by Satterthwaite, and t lies between those of whole numbers")
    func degreesOfFreedom() {
        let sum = SpreadEstimate(variance: 1, degreesOfFreedom: 4).adding(
            SpreadEstimate(variance: 1, degreesOfFreedom: 4))
        #expect(sum.variance == 2 && sum.degreesOfFreedom == 8)
        let exact = SpreadEstimate(variance: 1, degreesOfFreedom: 4).adding(
            SpreadEstimate(variance: 0, degreesOfFreedom: 1))
        #expect(exact.degreesOfFreedom == 4)
        for whole in 1...9 {
            let ends = [whole, whole + 1].map {
                StudentT.twoSided(level: 0.95, degreesOfFreedom: $0)
            }
            let at = { StudentT.twoSided(level: 0.95, realDegreesOfFreedom: $0) }
            #expect(abs(at(Double(whole)) - ends[0]) < 1e-12)
            let middle = at(Double(whole) + 0.5)
            #expect(ends[1] < middle && middle < ends[0])
        }
        // SciPy's stats.t.ppf(0.975, n).
        for (freedom, t) in [(1.5, 6.016663), (2.5, 3.574655)] {
            let value = StudentT.twoSided(level: 0.95, realDegreesOfFreedom: freedom)
            #expect(value > t && value < 1.03 * t, "\(freedom): \(value)")
        }
    }
}
