import Compute

/// A plane through a point in the space of a model's parameters: origin + x first + y second.
package struct ParameterPlane: Sendable {
    package let origin: Buffer<Float>
    package let first: Buffer<Float>
    package let second: Buffer<Float>

    /// Creates the plane of two directions; all three buffers have the layout of the parameters.
    package init(origin: Buffer<Float>, first: Buffer<Float>, second: Buffer<Float>) {
        precondition(
            origin.count == first.count && origin.count == second.count,
            "the origin and the directions must have the same number of parameters")
        self.origin = origin
        self.first = first
        self.second = second
    }

    /// Copies the parameters at a position on the plane into a buffer of the same size.
    package func copy(x: Double, y: Double, into parameters: Buffer<Float>) {
        parameters.fill(
            from: origin, movedBy: Float(x), along: first, andBy: Float(y), along: second)
    }

    /// The inner products of the directions.
    private var products: (xx: Double, xy: Double, yy: Double) {
        (innerProduct(first, first), innerProduct(first, second), innerProduct(second, second))
    }

    /// Returns the coordinates of the points on the plane that are nearest to other points, from
    /// the inner products of the directions with the other points' differences from the origin.
    func coordinates(of parts: [(first: Double, second: Double)]) -> [(x: Double, y: Double)] {
        let (xx, xy, yy) = products
        let determinant = xx * yy - xy * xy
        return parts.map { part in
            (
                x: (yy * part.first - xy * part.second) / determinant,
                y: (xx * part.second - xy * part.first) / determinant
            )
        }
    }

    /// The cosine of the angle between the directions; 0 if one of them is zero.
    package var cosine: Double {
        let (xx, xy, yy) = products
        let lengths = (xx * yy).squareRoot()
        return lengths > 0 ? xy / lengths : 0
    }
}
