import Compute

/// A plane through a point in the space of a model's parameters: origin + x first + y second.
package struct ParameterPlane: Sendable {
    package let origin: Buffer<Float>
    package let first: Buffer<Float>
    package let second: Buffer<Float>

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
        precondition(parameters.count == origin.count, "the buffer must be as long as the origin")
        let (x, y) = (Float(x), Float(y))
        let (from, along, across, to) = (origin.base, first.base, second.base, parameters.base)
        for index in 0..<origin.count {
            to[index] = from[index].addingProduct(x, along[index]).addingProduct(y, across[index])
        }
    }

    /// The cosine of the angle between the directions; 0 if one of them is zero.
    package var cosine: Double {
        var (product, squares1, squares2) = (0.0, 0.0, 0.0)
        for index in 0..<first.count {
            let (a, b) = (Double(first.base[index]), Double(second.base[index]))
            product += a * b
            squares1 += a * a
            squares2 += b * b
        }
        let lengths = (squares1 * squares2).squareRoot()
        return lengths > 0 ? product / lengths : 0
    }
}
