import Compute
import Support

/// Points in the space of a model's parameters, which are read tensor by tensor, so they need not
/// all fit into memory.
package struct ParameterPath {
    package let layout: ArenaLayout
    package let count: Int
    /// A function that copies a tensor of a point into a buffer of its size.
    package let copy:
        (_ point: Int, _ tensor: NamedTensor, _ into: Buffer<Float>) throws(Failure) -> Void

    package init(
        layout: ArenaLayout, count: Int,
        copy: @escaping (Int, NamedTensor, Buffer<Float>) throws(Failure) -> Void
    ) {
        self.layout = layout
        self.count = count
        self.copy = copy
    }

    /// Returns the inner products of the points' differences from an origin.
    package func products(from origin: Buffer<Float>) throws(Failure) -> [[Double]] {
        var products = [[Double]](repeating: [Double](repeating: 0, count: count), count: count)
        for tensor in layout.tensors {
            let differences = (0..<count).map { _ in Buffer<Float>(count: tensor.count) }
            for point in 0..<count {
                try copyDifference(point, tensor, from: origin, into: differences[point])
            }
            for i in 0..<count {
                for j in 0...i {
                    products[i][j] += innerProduct(differences[i], differences[j])
                }
            }
        }
        for i in 0..<count { for j in 0..<i { products[j][i] = products[i][j] } }
        return products
    }

    /// Returns the points' coordinates on a plane, which are those of their nearest points on it,
    /// and the fraction of the squared distances from the origin that the plane holds.
    package func projected(
        onto plane: ParameterPlane
    ) throws(Failure) -> (coordinates: [(x: Double, y: Double)], held: Double) {
        var parts = [(first: Double, second: Double)](repeating: (0, 0), count: count)
        var total = 0.0
        for tensor in layout.tensors {
            let difference = Buffer<Float>(count: tensor.count)
            for point in 0..<count {
                try copyDifference(point, tensor, from: plane.origin, into: difference)
                parts[point].first += innerProduct(difference, plane.first.vector(tensor))
                parts[point].second += innerProduct(difference, plane.second.vector(tensor))
                total += innerProduct(difference, difference)
            }
        }
        let coordinates = plane.coordinates(of: parts)
        let inside = zip(parts, coordinates).reduce(0) { sum, pair in
            sum + pair.1.x * pair.0.first + pair.1.y * pair.0.second
        }
        return (coordinates, total > 0 ? inside / total : 0)
    }

    /// Returns the directions of a plane as combinations of the points' differences from an origin.
    ///
    /// - Parameter weights: the weights of all points, for each direction.
    package func directions(
        _ weights: [[Double]], from origin: Buffer<Float>
    ) throws(Failure) -> [Buffer<Float>] {
        let directions = weights.map { _ in Buffer<Float>(count: layout.count) }
        for tensor in layout.tensors {
            let difference = Buffer<Float>(count: tensor.count)
            let sums = weights.map { _ in Buffer<Double>(count: tensor.count) }
            for point in 0..<count {
                try copyDifference(point, tensor, from: origin, into: difference)
                for (weights, sum) in zip(weights, sums) {
                    sum.add(weights[point], times: difference)
                }
            }
            for (direction, sum) in zip(directions, sums) {
                direction.fill(rounding: sum, from: tensor.offset)
            }
        }
        return directions
    }

    private func copyDifference(
        _ point: Int, _ tensor: NamedTensor, from origin: Buffer<Float>,
        into values: Buffer<Float>
    ) throws(Failure) {
        try copy(point, tensor, values)
        values.subtract(origin.vector(tensor))
    }
}
