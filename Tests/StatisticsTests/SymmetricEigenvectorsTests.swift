import Statistics
import Testing

/// Tests of eigenvectors of symmetric matrices.
@Suite struct SymmetricEigenvectorsTests {
    /// Returns a matrix with known eigenvalues: a diagonal matrix that is reflected twice.
    private func planted(_ values: [Double]) -> [[Double]] {
        let n = values.count
        var a = (0..<n).map { i in (0..<n).map { $0 == i ? values[i] : 0 } }
        for seed in [3, 7] {
            let u = (0..<n).map { Double(($0 * $0 * seed + seed) % 11) - 5.25 }
            let squares = u.reduce(0) { $0 + $1 * $1 }
            let h = (0..<n).map { i in
                (0..<n).map { (i == $0 ? 1 : 0) - 2 * u[i] * u[$0] / squares }
            }
            a = product(product(h, a), h)
        }
        return a
    }

    private func product(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] {
        a.map { row in
            b[0].indices.map { j in row.indices.reduce(0) { $0 + row[$1] * b[$1][j] } }
        }
    }

    /// The rounding error is a few units in the last place of the largest value.
    @Test(
        "known eigenvalues and eigenvectors are found",
        arguments: [[4.0], [1.0, 9], [7.0, 7, 2, 0, -3], [1e6, 50, 3, 1e-3, 0, 0, -20, 8]])
    func foundAgain(values: [Double]) {
        let matrix = planted(values)
        let eigen = SymmetricEigenvectors(matrix)
        let scale = values.map(\.magnitude).max() ?? 1
        for (found, value) in zip(eigen.values, values.sorted(by: >)) {
            #expect(abs(found - value) < 1e-13 * scale)
        }
        for (i, vector) in eigen.vectors.enumerated() {
            let image = matrix.map { row in zip(row, vector).reduce(0) { $0 + $1.0 * $1.1 } }
            for (left, right) in zip(image, vector) {
                #expect(abs(left - eigen.values[i] * right) < 1e-13 * scale)
            }
            for (j, other) in eigen.vectors.enumerated() {
                let product = zip(vector, other).reduce(0) { $0 + $1.0 * $1.1 }
                #expect(abs(product - (i == j ? 1 : 0)) < 1e-13)
            }
            #expect((vector.first { abs($0) > 1e-9 } ?? 0) > 0, "one sign of the two")
        }
    }
}
