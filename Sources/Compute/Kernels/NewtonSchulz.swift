/// The iteration that replaces a matrix by an approximation of the nearest semi-orthogonal one.
///
/// X is divided by its Frobenius norm, and five times becomes a X + (b G + c G^2) X with G = X X^T.
/// That multiplies each singular value by a polynomial whose slope at 0 is as large as possible, so
/// the singular values end near 1, in about [0.7, 1.2] (Jordan et al. 2024, "Muon: An optimizer for
/// hidden layers in neural networks"). A matrix with more rows than columns is treated as its
/// transpose. Everything is computed in fp32, and the bits do not depend on the threads.
package struct NewtonSchulz: Sendable {
    /// The coefficients a, b and c.
    private static let coefficients: (a: Float, b: Float, c: Float) = (3.4445, -4.7750, 2.0315)
    /// The number of iterations, which is odd, so that the result ends where the input was.
    private static let iterations = 5
    /// The smallest divisor of a matrix, so that zeros stay zeros.
    private static let leastNorm = 1e-7

    /// Alternating iterates (rows, columns), without gaps between rows.
    private let iterate: Buffer<Float>
    /// G (S, S), where S is the smaller side of the matrix.
    private let gram: Buffer<Float>
    /// b G + c G^2 (S, S).
    private let polynomial: Buffer<Float>
    private let sums: Buffer<Double>
    /// The shape that needs the most scratch memory.
    private let largest: (rows: Int, columns: Int)

    /// Allocates memory for matrices of the given shapes.
    package init(shapes: [(rows: Int, columns: Int)]) {
        let elements = Self.padded(shapes.map { $0.rows * $0.columns }.max() ?? 0)
        let side = shapes.map { min($0.rows, $0.columns) }.max() ?? 0
        iterate = Buffer(count: elements)
        gram = Buffer(count: side * side)
        polynomial = Buffer(count: side * side)
        sums = Buffer(count: SumOfSquares.blockCount(elements))
        largest = shapes.max { $0.rows * $0.columns < $1.rows * $1.columns } ?? (0, 0)
    }

    /// The memory for iterates and products, in bytes.
    package var bytes: Int {
        [iterate, gram, polynomial].reduce(sums.bytes.count) { $0 + $1.bytes.count }
    }

    /// Orthogonalizes a matrix in place; its rows may have gaps between them.
    package func orthogonalize(_ matrix: Matrix, engine: ComputeEngine) {
        let (rows, columns) = (matrix.rows, matrix.columns)
        let iterate = Matrix(iterate.base, rows: rows, columns: columns)
        normalize(matrix, into: iterate, engine: engine)
        for iteration in 0..<Self.iterations {
            let (from, to) = iteration % 2 == 0 ? (iterate, matrix) : (matrix, iterate)
            step(from, into: to, engine: engine)
        }
    }

    /// Records the scratch memory that the products take.
    package func record(on engine: ComputeEngine) {
        let place = Matrix(iterate.base, rows: largest.rows, columns: largest.columns)
        step(place, into: place, engine: engine)
    }

    /// Writes a matrix divided by its norm.
    private func normalize(_ matrix: Matrix, into iterate: Matrix, engine: ComputeEngine) {
        let (rows, columns) = (matrix.rows, matrix.columns)
        engine.forEach(rows) { row, _ in
            iterate.row(row).update(from: matrix.row(row), count: columns)
        }
        let count = Self.padded(rows * columns)
        (iterate.base + rows * columns).update(repeating: 0, count: count - rows * columns)
        let blocks = SumOfSquares.blockCount(count)
        engine.forEach(blocks) { block, _ in
            let range = SumOfSquares.range(ofBlock: block, count: count)
            sums.base[block] = SumOfSquares.of(
                iterate.base + range.lowerBound, count: range.count)
        }
        var square = 0.0
        for block in 0..<blocks { square += sums.base[block] }
        let norm = Float(max(square.squareRoot(), Self.leastNorm))
        engine.forEach(rows) { row, _ in
            let values = iterate.row(row)
            forEachVector(columns) { start, width in
                values.store(values.load(start, width: width) / norm, start, width: width)
            }
        }
    }

    /// Computes one iteration.
    private func step(_ x: Matrix, into result: Matrix, engine: ComputeEngine) {
        let isTall = x.rows > x.columns
        let side = min(x.rows, x.columns)
        let gram = Matrix(gram.base, rows: side, columns: side)
        let polynomial = Matrix(polynomial.base, rows: side, columns: side)
        let (a, b, c) = Self.coefficients
        if isTall {
            engine.multiplyTransposed(x.operand, x.operand, into: gram)
        } else {
            engine.multiply(x.operand, x.operand, .transposed, into: gram)
        }
        multiply(gram, gram, times: c, plus: gram, times: b, into: polynomial, engine: engine)
        // The polynomial is symmetric, so a tall matrix needs no transposes.
        let (left, right) = isTall ? (x, polynomial) : (polynomial, x)
        multiply(left, right, times: 1, plus: x, times: a, into: result, engine: engine)
    }

    /// Computes `result` = `factor` times the product of `left` and `right`, plus `share` times
    /// `addend`.
    private func multiply(
        _ left: Matrix, _ right: Matrix, times factor: Float, plus addend: Matrix,
        times share: Float, into result: Matrix, engine: ComputeEngine
    ) {
        let (factor, share) = (Floats(repeating: factor), Floats(repeating: share))
        engine.forEachProductBlock(
            left.operand, right.operand, touching: (addend.operand, result.operand)
        ) { elements, row, column in
            for i in 0..<elements.rows {
                let product = elements.row(i)
                let addend = addend.row(row + i) + column
                let result = result.row(row + i) + column
                forEachVector(elements.columns) { start, width in
                    result.store(
                        (factor * product.load(start, width: width))
                            .addingProduct(share, addend.load(start, width: width)), start,
                        width: width)
                }
            }
        }
    }

    /// Returns a count rounded up to the alignment of sums of squares.
    private static func padded(_ count: Int) -> Int {
        let alignment = ArenaLayout.alignment
        return (count + alignment - 1) / alignment * alignment
    }
}
