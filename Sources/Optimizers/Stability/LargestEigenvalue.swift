import Compute
import Statistics

/// Returns the largest eigenvalue of a symmetric matrix from its products with vectors; not a
/// number if a product is not finite.
///
/// The method is Lanczos' (Golub & Van Loan 2013, chapter 10): on the span of `start` and its
/// images, the matrix is tridiagonal, and the largest eigenvalue there soon is that of the whole
/// matrix. Every vector is orthogonalized twice against all earlier ones, because rounding would
/// otherwise find the same eigenvalues again.
///
/// - Parameters:
///   - start: a vector that is not orthogonal to the eigenvector. It is scaled to length 1.
///   - tolerance: the distance of an eigenvalue from the result, relative to the result.
///   - mostProducts: the number of products after which the iteration ends.
package func largestEigenvalue(
    start: Buffer<Float>, tolerance: Double = 0.01, mostProducts: Int = 30,
    multiply: (_ vector: Buffer<Float>, _ into: Buffer<Float>) -> Void
) -> Double {
    var (newest, length) = (start, start.norm)
    var (basis, diagonal, offDiagonal): ([Buffer<Float>], [Double], [Double]) = ([], [], [])
    let image = Buffer<Float>(count: start.count)
    while length > 0, length.isFinite {
        newest.divide(by: Float(length))
        basis.append(newest)
        multiply(newest, image)
        diagonal.append(innerProduct(newest, image))
        for vector in basis + basis {
            image.add(Float(-innerProduct(vector, image)), times: vector)
        }
        length = image.norm
        guard length.isFinite, diagonal.allSatisfy(\.isFinite) else { break }
        let eigen = SymmetricEigenvectors(tridiagonal(diagonal, offDiagonal))
        let residual = length * (eigen.vectors[0].last ?? 0).magnitude
        if residual <= tolerance * eigen.values[0].magnitude || basis.count == mostProducts {
            return eigen.values[0]
        }
        offDiagonal.append(length)
        newest = image.copy
    }
    return .nan
}

private func tridiagonal(_ diagonal: [Double], _ offDiagonal: [Double]) -> [[Double]] {
    diagonal.indices.map { row in
        diagonal.indices.map { column in
            column == row
                ? diagonal[row] : abs(column - row) == 1 ? offDiagonal[min(row, column)] : 0
        }
    }
}
