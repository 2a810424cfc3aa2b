import Compute
import Support

/// Points in the space of a model's parameters, which are read tensor by tensor, so they need not
/// all fit into memory.
package struct ParameterPath {
    package let layout: ArenaLayout
    package let count: Int
    /// A function that copies a tensor of a point into a buffer of its size.
    package let copy:
        (_ point: Int, _ tensor: NamedTensor, _ into: UnsafeMutablePointer<Float>) throws(Failure)
            -> Void

    package init(
        layout: ArenaLayout, count: Int,
        copy: @escaping (Int, NamedTensor, UnsafeMutablePointer<Float>) throws(Failure) -> Void
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
                try copyDifference(point, tensor, from: origin, into: differences[point].base)
            }
            for i in 0..<count {
                for j in 0...i {
                    products[i][j] += innerProduct(
                        differences[i].base, differences[j].base, count: tensor.count)
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
                try copyDifference(point, tensor, from: plane.origin, into: difference.base)
                func part(_ other: UnsafePointer<Float>) -> Double {
                    innerProduct(difference.base, other, count: tensor.count)
                }
                parts[point].first += part(plane.first.base + tensor.offset)
                parts[point].second += part(plane.second.base + tensor.offset)
                total += part(difference.base)
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
            var sums = weights.map { _ in [Double](repeating: 0, count: tensor.count) }
            for point in 0..<count {
                try copyDifference(point, tensor, from: origin, into: difference.base)
                for k in weights.indices {
                    let weight = weights[k][point]
                    for index in 0..<tensor.count {
                        sums[k][index] += weight * Double(difference.base[index])
                    }
                }
            }
            for k in weights.indices {
                for index in 0..<tensor.count {
                    directions[k].base[tensor.offset + index] = Float(sums[k][index])
                }
            }
        }
        return directions
    }

    private func copyDifference(
        _ point: Int, _ tensor: NamedTensor, from origin: Buffer<Float>,
        into values: UnsafeMutablePointer<Float>
    ) throws(Failure) {
        try copy(point, tensor, values)
        let base = origin.base + tensor.offset
        for index in 0..<tensor.count { values[index] -= base[index] }
    }
}
