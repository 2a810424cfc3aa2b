import CMinpack

/// Returns the linear combination of columns with the least squared distance to some observations.
///
/// The method is QR with column pivoting, by MINPACK's `qrfac` and `covar`.
///
/// - Parameters:
///   - rows: observations x parameters, at least as many observations as parameters.
///   - weights: a weight per observation, inverse to its variance; nil for equal weights.
/// - Returns: nil if the columns are linearly dependent.
package func linearLeastSquares(
    _ rows: [[Double]], observations: [Double], weights: [Double]? = nil
) -> LeastSquaresFit? {
    let m = rows.count
    let n = rows.first?.count ?? 0
    precondition(n >= 1 && rows.allSatisfy { $0.count == n }, "a column for each parameter")
    precondition(observations.count == m, "an observation for each row")
    precondition(weights.map { $0.count == m && $0.allSatisfy { $0 > 0 } } ?? true, "weights")
    guard m >= n else { return nil }
    let scales = weights?.map { $0.squareRoot() } ?? Array(repeating: 1, count: m)
    // MINPACK's matrices are stored by columns: element (i, j) at i + j m.
    var matrix = (0..<n).flatMap { j in (0..<m).map { i in scales[i] * rows[i][j] } }
    var projected = zip(scales, observations).map { $0 * $1 }
    var pivots = [Int32](repeating: 0, count: n)
    var diagonal = [Double](repeating: 0, count: n)
    var norms = [Double](repeating: 0, count: n)
    var work = [Double](repeating: 0, count: n)
    qrfac(
        Int32(m), Int32(n), &matrix, Int32(m), 1, &pivots, Int32(n), &diagonal, &norms, &work)
    applyReflections(of: matrix, rows: m, columns: n, to: &projected)
    for j in 0..<n { matrix[j + j * m] = diagonal[j] }
    // Columns that are dependent up to rounding leave a diagonal element of the size of rounding.
    guard (0..<n).allSatisfy({ diagonal[$0].magnitude > 1e-12 * diagonal[0].magnitude }) else {
        return nil
    }
    var parameters = [Double](repeating: 0, count: n)
    for k in (0..<n).reversed() {
        let known = (k + 1..<n).reduce(0) {
            $0 + matrix[k + $1 * m] * parameters[Int(pivots[$1]) - 1]
        }
        parameters[Int(pivots[k]) - 1] = (projected[k] - known) / diagonal[k]
    }
    return LeastSquaresFit(
        parameters: parameters,
        unscaledCovariance: unscaledCovariance(&matrix, rows: m, columns: n, pivots: pivots),
        residualSumOfSquares: projected[n...].reduce(0) { $0 + $1 * $1 },
        degreesOfFreedom: m - n)
}

/// Multiplies a vector of m by Q^T, whose Householder vectors `qrfac` stores below the diagonal.
private func applyReflections(
    of matrix: [Double], rows m: Int, columns n: Int, to vector: inout [Double]
) {
    for j in 0..<n where matrix[j + j * m] != 0 {
        let product = (j..<m).reduce(0) { $0 + matrix[$1 + j * m] * vector[$1] }
        let factor = -product / matrix[j + j * m]
        for i in j..<m { vector[i] += matrix[i + j * m] * factor }
    }
}

/// Returns (R^T R)^-1 in the order of the parameters. MINPACK's `covar` overwrites the matrix.
func unscaledCovariance(
    _ matrix: inout [Double], rows m: Int, columns n: Int, pivots: [Int32]
) -> [[Double]] {
    var work = [Double](repeating: 0, count: n)
    covar(Int32(n), &matrix, Int32(m), pivots, 0, &work)
    return (0..<n).map { i in (0..<n).map { j in matrix[i + j * m] } }
}
