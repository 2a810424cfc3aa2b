/// The parabola that best fits some points.
package struct Parabola: Sendable, Equatable {
    private let fit: LeastSquaresFit
    /// The mean x of the points, around which the parabola is expanded.
    private let center: Double

    /// Fits a parabola to three or more points by least squares.
    ///
    /// - Parameter weights: a weight per point, inverse to its variance; nil for equal weights.
    /// - Returns: nil with fewer than three different x.
    package init?(x: [Double], y: [Double], weights: [Double]? = nil) {
        precondition(x.count == y.count, "a y for each x")
        guard Set(x).count >= 3 else { return nil }
        let center = x.reduce(0, +) / Double(x.count)
        let rows = x.map { [1, $0 - center, ($0 - center) * ($0 - center)] }
        guard let fit = linearLeastSquares(rows, observations: y, weights: weights) else {
            return nil
        }
        self.fit = fit
        self.center = center
    }

    /// Fits a parabola to points, with a given curvature unless it is nil.
    package init?(x: [Double], y: [Double], curvature: Double?) {
        guard let curvature else {
            self.init(x: x, y: y)
            return
        }
        let center = x.reduce(0, +) / Double(max(1, x.count))
        let bend = x.map { curvature * ($0 - center) * ($0 - center) }
        let line = linearLeastSquares(
            x.map { [1, $0 - center] }, observations: zip(y, bend).map { $0 - $1 })
        guard let line else { return nil }
        // The sum of the line and the bend is exactly a parabola.
        self.init(
            x: x,
            y: zip(x, bend).map { line.parameters[0] + line.parameters[1] * ($0 - center) + $1 })
    }

    /// The residuals' variance, or nil for three points, which the parabola meets exactly.
    package var noise: Noise? { fit.noise }

    /// Returns y at an x.
    package func callAsFunction(_ x: Double) -> Double {
        let u = x - center
        return fit.parameters[0] + u * (fit.parameters[1] + u * fit.parameters[2])
    }

    /// Returns half the second derivative, by which y rises one unit of x from the vertex.
    ///
    /// - Parameter noise: another estimate of the noise; nil for the residuals'.
    package func curvature(noise: Noise? = nil, level: Double) -> Estimate {
        fit.estimate(2, noise: noise, level: level)
    }

    /// Returns the slope at the mean x of the points.
    ///
    /// - Parameter noise: another estimate of the noise; nil for the residuals'.
    package func slope(noise: Noise? = nil, level: Double) -> Estimate {
        fit.estimate(1, noise: noise, level: level)
    }

    /// The x of the vertex, or nil for a straight line.
    package var vertex: Double? {
        let vertex = center - fit.parameters[1] / (2 * fit.parameters[2])
        return vertex.isFinite ? vertex : nil
    }
}
