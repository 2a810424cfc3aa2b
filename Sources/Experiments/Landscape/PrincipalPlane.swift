import Statistics

/// The plane closest to some points, computed only from their inner products.
///
/// This is principal component analysis with the small Gram matrix. The directions are combinations
/// of the points, so inner products suffice for the coordinates (Li et al. 2018, 1712.09913,
/// section 7, on the points theta_i - theta_n).
package struct PrincipalPlane: Sendable {
    /// The weight of each point in each of the two directions, which have length 1.
    package let weights: [[Double]]
    /// The points' coordinates on the plane, relative to the origin of the products.
    package let coordinates: [(x: Double, y: Double)]
    /// The fraction of the variance along each direction.
    package let explained: [Double]

    /// Computes the plane; returns nil if the points lie on a line, up to rounding.
    ///
    /// - Parameters:
    ///   - products: the points' inner products, relative to any common origin.
    ///   - scales: the factors by which the points are weighted; nil for 1.
    ///   - isCentered: whether the variance is taken about the points' mean rather than the origin.
    package init?(products: [[Double]], scales: [Double]? = nil, isCentered: Bool) {
        let n = products.count
        let scales = scales ?? [Double](repeating: 1, count: n)
        precondition(scales.count == n, "a scale for each point")
        var gram = (0..<n).map { i in (0..<n).map { scales[i] * scales[$0] * products[i][$0] } }
        if isCentered { Self.center(&gram) }
        let total = (0..<n).reduce(0) { $0 + gram[$1][$1] }
        let eigen = SymmetricEigenvectors(gram)
        // On a line, rounding to fp32 leaves about 1e-14 of the variance in the second direction.
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

    /// Moves the mean of the points to the origin.
    private static func center(_ gram: inout [[Double]]) {
        let n = Double(gram.count)
        let means = gram.map { $0.reduce(0, +) / n }
        let mean = means.reduce(0, +) / n
        for i in gram.indices {
            for j in gram.indices { gram[i][j] += mean - means[i] - means[j] }
        }
    }
}
