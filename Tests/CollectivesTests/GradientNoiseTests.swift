import Collectives
import Testing

@Suite struct GradientNoiseTests {
    /// The expected values are computed term by term from the definitions.
    @Test("variance and signal equal their definitions")
    func varianceAndSignalEqualTheirDefinitions() throws {
        let means: [[Double]] = [[3, -1, 0.5], [1, 2, -2], [0.25, 0, 4], [-1, 1, 1]]
        let count = Double(means.count)
        let mean = (0..<3).map { place in means.reduce(0) { $0 + $1[place] } / count }
        func dot(_ a: [Double], _ b: [Double]) -> Double {
            zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let deviations = means.reduce(0.0) { sum, lane in
            let difference = zip(lane, mean).map { $0 - $1 }
            return sum + dot(difference, difference)
        }
        var products = 0.0
        for (i, left) in means.enumerated() {
            for (j, right) in means.enumerated() where i != j { products += dot(left, right) }
        }
        let parts = means.map { $0.map { $0 / count } }
        let noise = try #require(
            GradientNoise(
                partSquares: parts.reduce(0) { $0 + dot($1, $1) }, sumSquares: dot(mean, mean),
                lanes: 4, sequencesPerLane: 6))
        #expect(abs(noise.variance - 6 / (count - 1) * deviations) < 1e-12)
        #expect(abs(noise.signal - products / (count * (count - 1))) < 1e-12)
    }

    @Test("equal lanes have no noise")
    func equalLanesHaveNoNoise() throws {
        let noise = try #require(
            GradientNoise(partSquares: 2 * 0.25, sumSquares: 1, lanes: 2, sequencesPerLane: 3))
        #expect(noise.variance == 0)
        #expect(noise.signal == 1)
    }

    @Test("one lane gives no estimate")
    func oneLaneGivesNoEstimate() {
        #expect(
            GradientNoise(partSquares: 1, sumSquares: 1, lanes: 1, sequencesPerLane: 8) == nil)
    }
}
