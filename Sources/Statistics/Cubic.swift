/// The cubic that best fits four or more points.
package struct Cubic: Sendable, Equatable {
    private let coefficients: [Double]
    /// The mean x of the points, around which the cubic is expanded.
    private let center: Double

    /// Fits a cubic by least squares. Returns nil if there are fewer than four different x.
    package init?(x: [Double], y: [Double]) {
        precondition(x.count == y.count, "a y for each x")
        let center = x.reduce(0, +) / Double(max(1, x.count))
        let rows = x.map { $0 - center }.map { [1, $0, $0 * $0, $0 * $0 * $0] }
        guard Set(x).count >= 4, let fit = linearLeastSquares(rows, observations: y) else {
            return nil
        }
        coefficients = fit.parameters
        self.center = center
    }

    /// The x of the local minimum, or nil if there is none.
    package var minimum: Double? {
        let (b, c, d) = (coefficients[1], coefficients[2], coefficients[3])
        // b + 2 c u + 3 d u^2 = 0 where 2 c + 6 d u > 0, in a form that is valid for d = 0.
        let discriminant = c * c - 3 * b * d
        guard discriminant > 0 else { return nil }
        let denominator = c + discriminant.squareRoot()
        let minimum = center - b / denominator
        return minimum.isFinite ? minimum : nil
    }
}
