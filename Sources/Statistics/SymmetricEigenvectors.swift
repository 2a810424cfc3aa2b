/// The eigenvalues and eigenvectors of a symmetric matrix, the greatest first.
///
/// The method is Jacobi's rotations in cyclic order (Golub & Van Loan 2013, Algorithm 8.5.3), which
/// are exact to rounding for small matrices. The first component of an eigenvector that is not
/// about zero is positive, so that the sign does not depend on rounding.
package struct SymmetricEigenvectors: Sendable {
    /// The eigenvalues, in decreasing order.
    package let values: [Double]
    /// The normalized eigenvectors, one for each value.
    package let vectors: [[Double]]

    /// Computes the eigenvalues and eigenvectors of a matrix.
    ///
    /// - Parameter matrix: a square symmetric matrix, of which only the upper triangle is read.
    package init(_ matrix: [[Double]]) {
        let n = matrix.count
        precondition(matrix.allSatisfy { $0.count == n }, "a square matrix")
        var a = matrix
        var v = (0..<n).map { i in (0..<n).map { $0 == i ? 1.0 : 0 } }
        for _ in 0..<Self.sweeps {
            var rotated = false
            for p in 0..<max(0, n - 1) {
                for q in (p + 1)..<n where Self.isSignificant(a[p][q], among: a[p][p], a[q][q]) {
                    Self.eliminate((p, q), in: &a, vectors: &v)
                    rotated = true
                }
            }
            if !rotated { break }
        }
        // Rows of v are eigenvectors. A stable order gives equal values the same order every time.
        let diagonal = (0..<n).map { a[$0][$0] }
        let order = (0..<n).sorted {
            diagonal[$0] != diagonal[$1] ? diagonal[$0] > diagonal[$1] : $0 < $1
        }
        values = order.map { diagonal[$0] }
        vectors = order.map { row in
            let first = v[row].first { $0.magnitude > 1e-9 } ?? 1
            return v[row].map { first < 0 ? -$0 : $0 }
        }
    }

    /// The maximum number of sweeps, which is never reached because the method converges
    /// quadratically.
    private static let sweeps = 60

    /// Returns whether an off-diagonal element exceeds rounding error.
    private static func isSignificant(_ value: Double, among p: Double, _ q: Double) -> Bool {
        value.magnitude > 1e-17 * (p.magnitude + q.magnitude) && value != 0
    }

    /// Makes element (p, q) zero by a rotation.
    private static func eliminate(
        _ element: (p: Int, q: Int), in a: inout [[Double]], vectors v: inout [[Double]]
    ) {
        let (p, q) = element
        let theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
        let t = (theta < 0 ? -1 : 1) / (theta.magnitude + (theta * theta + 1).squareRoot())
        let c = 1 / (t * t + 1).squareRoot()
        let s = t * c
        let (pp, qq, pq) = (a[p][p], a[q][q], a[p][q])
        for k in a.indices where k != p && k != q {
            let (kp, kq) = (k < p ? a[k][p] : a[p][k], k < q ? a[k][q] : a[q][k])
            let (newP, newQ) = (c * kp - s * kq, s * kp + c * kq)
            if k < p { a[k][p] = newP } else { a[p][k] = newP }
            if k < q { a[k][q] = newQ } else { a[q][k] = newQ }
        }
        a[p][p] = pp - t * pq
        a[q][q] = qq + t * pq
        a[p][q] = 0
        for k in v.indices {
            let (vp, vq) = (v[p][k], v[q][k])
            v[p][k] = c * vp - s * vq
            v[q][k] = s * vp + c * vq
        }
    }
}
