// Elementwise arithmetic on vectors of any length. `addingProduct` rounds once (a fused
// multiply-add); every other operation rounds once, in the order of the code. Sums are in fp64, in
// the order of the elements unless stated otherwise.

extension Buffer where Element == Float {
    /// The Euclidean norm, with the parallel sums of `innerProduct`.
    package var norm: Double { innerProduct(self, self).squareRoot() }

    /// Divides every element by a number.
    package func divide(by divisor: Float) {
        for index in 0..<count { base[index] /= divisor }
    }

    /// Adds a multiple of another vector.
    package func add(_ factor: Float, times vector: Buffer<Float>) {
        precondition(vector.count == count, "the vectors must have the same length")
        let (from, to) = (vector.base, base)
        for index in 0..<count { to[index] = to[index].addingProduct(factor, from[index]) }
    }

    /// Subtracts a vector.
    package func subtract(_ vector: Vector) {
        precondition(vector.count == count, "the vectors must have the same length")
        for index in 0..<count { base[index] -= vector.base[index] }
    }

    /// Writes the numbers of a vector in fp64, rounded.
    package func fill(rounding vector: Buffer<Double>, from start: Int) {
        precondition(start + vector.count <= count, "the vector must fit")
        for index in 0..<vector.count { base[start + index] = Float(vector.base[index]) }
    }

    /// Writes the point at `origin + x * first + y * second`.
    package func fill(
        from origin: Buffer<Float>, movedBy x: Float, along first: Buffer<Float>,
        andBy y: Float, along second: Buffer<Float>
    ) {
        precondition(
            origin.count == count && first.count == count && second.count == count,
            "the vectors must have the same length")
        let (from, along, across, to) = (origin.base, first.base, second.base, base)
        for index in 0..<count {
            to[index] = from[index].addingProduct(x, along[index]).addingProduct(y, across[index])
        }
    }

    /// Writes the square root of each element of another vector.
    package func fill(withSquareRootsOf vector: Buffer<Float>) {
        precondition(vector.count == count, "the vectors must have the same length")
        for index in 0..<count { base[index] = vector.base[index].squareRoot() }
    }

    /// Writes the elementwise product of two vectors.
    package func fill(withProductOf a: Buffer<Float>, _ b: Buffer<Float>) {
        precondition(a.count == count && b.count == count, "the vectors must have the same length")
        for index in 0..<count { base[index] = a.base[index] * b.base[index] }
    }

    /// Writes the point at `origin + step * (scale * direction)`.
    package func fill(
        from origin: Buffer<Float>, movedBy step: Float, along direction: Buffer<Float>,
        scaledBy scale: Buffer<Float>
    ) {
        precondition(
            origin.count == count && direction.count == count && scale.count == count,
            "the vectors must have the same length")
        for index in 0..<count {
            let way = scale.base[index] * direction.base[index]
            base[index] = origin.base[index].addingProduct(step, way)
        }
    }

    /// Writes the central difference `scale / (2 step) * (above - below)` of samples that lie a
    /// step apart on a line.
    ///
    /// - Returns: the norm of the result, and that of the second difference
    ///   `scale / (2 step) * ((above - center) - (center - below))`.
    package func fill(
        withDifferenceOf above: Buffer<Float>, _ center: Buffer<Float>, _ below: Buffer<Float>,
        step: Float, scaledBy scale: Buffer<Float>
    ) -> (norm: Double, bend: Double) {
        precondition(
            above.count == count && center.count == count && below.count == count
                && scale.count == count, "the vectors must have the same length")
        var sums = (norm: 0.0, bend: 0.0)
        for index in 0..<count {
            let (factor, middle) = (scale.base[index] / (2 * step), center.base[index])
            let (up, down) = (above.base[index] - middle, middle - below.base[index])
            base[index] = factor * (above.base[index] - below.base[index])
            sums.norm += Double(base[index]) * Double(base[index])
            sums.bend += Double(factor * (up - down)) * Double(factor * (up - down))
        }
        return (sums.norm.squareRoot(), sums.bend.squareRoot())
    }
}

extension Buffer where Element == Double {
    /// Adds a multiple of a vector; the product is rounded before the sum.
    package func add(_ factor: Double, times vector: Buffer<Float>) {
        precondition(vector.count == count, "the vectors must have the same length")
        for index in 0..<count { base[index] += factor * Double(vector.base[index]) }
    }
}

/// Returns the inner product of two vectors in fp64, with eight parallel sums.
package func innerProduct(_ a: Buffer<Float>, _ b: Buffer<Float>) -> Double {
    precondition(a.count == b.count, "the vectors must have the same length")
    return innerProduct(a.base, b.base, count: a.count)
}

/// Returns the inner product of a vector and a tensor in fp64, with eight parallel sums.
package func innerProduct(_ a: Buffer<Float>, _ b: Vector) -> Double {
    precondition(a.count == b.count, "the vectors must have the same length")
    return innerProduct(a.base, b.base, count: a.count)
}

/// Returns the Euclidean norm of the elementwise product of two vectors.
package func normOfProduct(_ a: Buffer<Float>, _ b: Buffer<Float>) -> Double {
    precondition(a.count == b.count, "the vectors must have the same length")
    var squares = 0.0
    for index in 0..<a.count {
        let product = Double(a.base[index] * b.base[index])
        squares += product * product
    }
    return squares.squareRoot()
}
