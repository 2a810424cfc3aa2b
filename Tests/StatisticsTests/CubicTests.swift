import Statistics
import Testing

@Suite("The minimum of a cubic")
struct CubicTests {
    @Test("of points on a cubic it is the cubic's own, and of a parabola's its vertex")
    func exact() throws {
        let x = [-1.0, 0.5, 1, 2, 4]
        // 3 (x - 1)^2 + (x - 1)^3 has its least at 1, and its greatest at -1.
        let cubic = try #require(
            Cubic(x: x, y: x.map { 3 * ($0 - 1) * ($0 - 1) + ($0 - 1) * ($0 - 1) * ($0 - 1) }))
        #expect(abs(try #require(cubic.minimum) - 1) < 1e-12)
        let falling = try #require(
            Cubic(x: x, y: x.map { 3 * ($0 - 1) * ($0 - 1) - ($0 - 1) * ($0 - 1) * ($0 - 1) }))
        #expect(abs(try #require(falling.minimum) - 1) < 1e-12)
        let parabola = try #require(Cubic(x: x, y: x.map { 2 * ($0 - 0.3) * ($0 - 0.3) }))
        #expect(abs(try #require(parabola.minimum) - 0.3) < 1e-12)
    }

    @Test("there is none of a course that only rises, nor with three points")
    func none() throws {
        let x = [0.0, 1, 2, 3]
        #expect(try #require(Cubic(x: x, y: x.map { $0 * $0 * $0 + $0 })).minimum == nil)
        #expect(Cubic(x: [0, 1, 2], y: [1, 0, 1]) == nil)
        #expect(Cubic(x: [0, 1, 1, 2], y: [1, 0, 0, 1]) == nil)
    }
}
