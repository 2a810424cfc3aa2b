import Statistics

/// The plane that comes nearest to some points, from their inner products alone.
///
/// Principal component analysis by the small Gram matrix: the directions are combinations of the
/// points, so their coordinates need no more than inner products (Li et al. 2018, 1712.09913,
/// section 7, on the points theta_i - theta_n).
package struct PrincipalPlane: Sendable {
    /// For each direction, what each point weighs in it; the directions have length 1.
    package let weights: [[Double]]
    /// The points' coordinates on the plane, from the origin that the products are taken from.
    package let coordinates: [(x: Double, y: Double)]
    /// The part of the variance along each direction.
    package let explained: [Double]

    /// - Parameters:
    ///   - products: the points' inner products, from any common origin.
    ///   - scales: multiply the points, so that some count for more; nil for 1.
    ///   - isCentred: whether the variance is about the points' mean rather than their origin.
    /// - Returns: nil where the points lie on a line, up to rounding.
    package init?(products: [[Double]], scales: [Double]? = nil, isCentred: Bool) {
        let n = products.count
        let scales = scales ?? [Double](repeating: 1, count: n)
        precondition(scales.count == n, "a scale for each point")
        var gram = (0..<n).map { i in (0..<n).map { scales[i] * scales[$0] * products[i][$0] } }
        if isCentred { Self.center(&gram) }
        let total = (0..<n).reduce(0) { $0 + gram[$1][$1] }
        let eigen = SymmetricEigenvectors(gram)
        // fp32 parameters leave about 1e-14 of the variance beside a line.
        guard n >= 2, total > 0, total.isFinite, eigen.values[1] > 1e-12 * total else { return nil }
        weights = (0..<2).map { k in
            let length = eigen.values[k].squareRoot()
            return (0..<n).map { scales[$0] * eigen.vectors[k][$0] / length }
        }
        let weights = weights
        func coordinate(_ k: Int, _ point: Int) -> Double {
            (0..<n).reduce(0) { $0 + weights[k][$1] * products[$1][point] }
        }
        coordinates = (0..<n).map { (coordinate(0, $0), coordinate(1, $0)) }
        explained = (0..<2).map { eigen.values[$0] / total }
    }

    /// Moves the points' mean to the origin.
    private static func center(_ gram: inout [[Double]]) {
        let n = Double(gram.count)
        let means = gram.map { $0.reduce(0, +) / n }
        let mean = means.reduce(0, +) / n
        for i in gram.indices {
            for j in gram.indices { gram[i][j] += mean - means[i] - means[j] }
        }
    }
}
