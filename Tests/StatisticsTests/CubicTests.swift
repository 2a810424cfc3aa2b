import Statistics
import Testing

@Suite("The minimum of a cubic")
struct CubicTests {
    @Test("the minimum is that of the cubic through the points, or the vertex of a parabola")
    func exact() throws {
        let x = [-1.0, 0.5, 1, 2, 4]
        // 3 (x - 1)^2 + (x - 1)^3 has its minimum at 1 and its maximum at -1.
        let cubic = try #require(
            Cubic(x: x, y: x.map { 3 * ($0 - 1) * ($0 - 1) + ($0 - 1) * ($0 - 1) * ($0 - 1) }))
        #expect(abs(try #require(cubic.minimum) - 1) < 1e-12)
        let falling = try #require(
            Cubic(x: x, y: x.map { 3 * ($0 - 1) * ($0 - 1) - ($0 - 1) * ($0 - 1) * ($0 - 1) }))
        #expect(abs(try #require(falling.minimum) - 1) < 1e-12)
        let parabola = try #require(Cubic(x: x, y: x.map { 2 * ($0 - 0.3) * ($0 - 0.3) }))
        #expect(abs(try #require(parabola.minimum) - 0.3) < 1e-12)
    }

    @Test("a curve that only rises and three points have no minimum")
    func none() throws {
        let x = [0.0, 1, 2, 3]
        #expect(try #require(Cubic(x: x, y: x.map { $0 * $0 * $0 + $0 })).minimum == nil)
        #expect(Cubic(x: [0, 1, 2], y: [1, 0, 1]) == nil)
        #expect(Cubic(x: [0, 1, 1, 2], y: [1, 0, 0, 1]) == nil)
    }
}
