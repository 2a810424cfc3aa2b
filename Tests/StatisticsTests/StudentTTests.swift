import Statistics
import TestSupport
import Testing

/// Tests of Student's t.
@Suite struct StudentTTests {
    private struct Point: Decodable {
        let t: Double
        let degreesOfFreedom: Int
        let probability: Double
    }
    private struct Points: Decodable {
        let cumulative: [Point]
        let quantiles: [Point]
    }

    @Test("probabilities equal those computed with 40 digits")
    func cumulative() throws {
        let points = try golden("student", as: Points.self).cumulative
        try #require(points.count == 99)
        for point in points {
            let central = StudentT.central(point.t.magnitude, point.degreesOfFreedom)
            let probability = point.t < 0 ? (1 - central) / 2 : (1 + central) / 2
            // cos(theta)^2 and its rounding error are raised to powers up to n / 2.
            let tolerance = 1e-15 + 1e-17 * Double(point.degreesOfFreedom)
            #expect(abs(probability - point.probability) < tolerance, "\(point)")
        }
    }

    @Test("quantiles equal those computed with 40 digits")
    func quantiles() throws {
        let points = try golden("student", as: Points.self).quantiles
        try #require(points.count == 60)
        for point in points {
            let t = StudentT.quantile(point.probability, degreesOfFreedom: point.degreesOfFreedom)
            // In the tail, 1e-16 of the probability is about 1e-14 of t.
            #expect(relativeDifference(t, point.t) < 1e-12, "\(point)")
        }
    }

    @Test("the median and a two-sided interval equal those of a textbook")
    func special() {
        #expect(StudentT.quantile(0.5, degreesOfFreedom: 7) < 1e-15)
        #expect(abs(StudentT.twoSided(level: 0.95, degreesOfFreedom: 2) - 4.303) < 5e-4)
    }
}
