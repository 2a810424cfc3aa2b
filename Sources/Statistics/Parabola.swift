/// The parabola that comes nearest to some points, about its vertex.
package struct Parabola: Sendable, Equatable {
    private let fit: LeastSquaresFit
    /// The points' mean x, about which the fit was made.
    private let center: Double

    /// The parabola through three points or more, by least squares.
    ///
    /// - Parameter weights: one for each point, inverse to its variance; nil for equal ones.
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

    /// As `init(x:y:weights:)`, but with a curvature that is known, where one is given.
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
        // A parabola goes through the line and the bend together exactly.
        self.init(
            x: x,
            y: zip(x, bend).map { line.parameters[0] + line.parameters[1] * ($0 - center) + $1 })
    }

    /// The residuals' variance; nil for three points, which it meets exactly.
    package var noise: Noise? { fit.noise }

    /// y at an x.
    package func callAsFunction(_ x: Double) -> Double {
        let u = x - center
        return fit.parameters[0] + u * (fit.parameters[1] + u * fit.parameters[2])
    }

    /// Half the second derivative: y rises by it one unit of x from the vertex.
    ///
    /// - Parameter noise: what is known of the noise from elsewhere; nil for the residuals'.
    package func curvature(noise: Noise? = nil, level: Double) -> Estimate {
        fit.estimate(2, noise: noise, level: level)
    }

    /// The slope at the points' mean x.
    ///
    /// - Parameter noise: what is known of the noise from elsewhere; nil for the residuals'.
    package func slope(noise: Noise? = nil, level: Double) -> Estimate {
        fit.estimate(1, noise: noise, level: level)
    }

    /// Where the parabola turns; nil for a straight line.
    package var vertex: Double? {
        let vertex = center - fit.parameters[1] / (2 * fit.parameters[2])
        return vertex.isFinite ? vertex : nil
    }

    /// The vertex with its interval, by Fieller 1954: the x at which a slope of zero is not
    /// refused.
    ///
    /// The slope at v is b + 2 a v, whose variance is a quadratic in v, so the x with a slope
    /// within t standard errors of zero lie between the roots of a quadratic. Nil intervals: no
    /// noise is known, or the curvature's interval holds zero, so that no x is refused.
    ///
    /// - Parameter noise: what is known of the noise from elsewhere; nil for the residuals'.
    package func vertexEstimate(noise: Noise? = nil, level: Double) -> Estimate? {
        guard let vertex else { return nil }
        guard let noise = noise ?? fit.noise else { return Estimate(vertex) }
        let covariance = fit.covariance(noise)
        let t = StudentT.twoSided(level: level, degreesOfFreedom: noise.degreesOfFreedom)
        let (b, a) = (fit.parameters[1], fit.parameters[2])
        // (b + 2 a v)^2 = t^2 (Vbb + 4 v Vab + 4 v^2 Vaa), as p v^2 + q v + r = 0.
        let p = 4 * (a * a - t * t * covariance[2][2])
        let q = 4 * (a * b - t * t * covariance[1][2])
        let r = b * b - t * t * covariance[1][1]
        let discriminant = q * q - 4 * p * r
        guard p > 0, discriminant >= 0 else { return Estimate(vertex) }
        let root = discriminant.squareRoot()
        return Estimate(
            vertex,
            interval: Interval(
                lower: center + (-q - root) / (2 * p), upper: center + (-q + root) / (2 * p),
                level: level))
    }
}
