import Compute
import Testing

/// Compares the bits of matrix products with explicit chains of fused multiply-adds.
@Suite struct MatrixProductTests {
    /// Shapes with the tile borders of all kernels, columns that fill broad tiles, depths below, at
    /// and beyond one part, odd sizes, more columns than threads pack at once, packed left
    /// operands, and more rows of a transposed operand than are packed at once.
    static let shapes = [
        (1, 1, 1), (6, 16, 8), (7, 17, 9), (14, 32, 40), (15, 33, 100), (83, 97, 31),
        (130, 200, 770), (53, 72, 384), (260, 96, 1601), (61, 1501, 774),
        (28, 513, 1601), (12_001, 2, 700),
    ]

    static let kernels = InstructionSet.allCases
        .filter { $0.rawValue <= InstructionSet.best.rawValue }
        .flatMap { set in Precision.allCases.map { (set, $0) } }

    @Test("an element is a chain of fused multiply-adds", arguments: shapes, kernels)
    func elementsAreChainsOfFusedMultiplyAdds(
        shape: (rows: Int, columns: Int, depth: Int), kernels: (InstructionSet, Precision)
    ) {
        let (instructionSet, precision) = kernels
        let (rows, columns) = (shape.rows, shape.columns)
        let depth = precision.even(shape.depth)
        let a = Stored(numbers(rows * depth, seed: 1), columns: depth, precision)
        let b = Stored(numbers(depth * columns, seed: 2), columns: columns, precision)
        let before = numbers(rows * columns, seed: 3)
        let (aTransposed, bTransposed) = (transposed(a), transposed(b))
        for (threads, accumulates) in [(1, false), (1, true), (3, true)] {
            let engine = ComputeEngine(threads: threads, instructionSet: instructionSet)
            let expected = reference(a, b, before: accumulates ? before : nil, instructionSet)
            for way in 0..<3 {
                // Elements that must not be read are NaN, so that reading them is noticed.
                let c = Buffer<Float>(count: rows * columns)
                for index in 0..<c.count {
                    c.base[index] = accumulates ? Float(before[index]) : .nan
                }
                let output = matrix(c, columns: columns)
                switch way {
                case 0:
                    engine.multiply(a.operand, b.operand, into: output, accumulates: accumulates)
                case 1:
                    engine.multiply(
                        a.operand, bTransposed.operand, .transposed, into: output,
                        accumulates: accumulates)
                default:
                    engine.multiplyTransposed(
                        aTransposed.operand, b.operand, into: output, accumulates: accumulates)
                }
                let isEqual = c.elements.elementsEqual(expected)
                #expect(isEqual, "way \(way), \(threads) threads")
            }
        }
    }

    /// The depth may be odd if the operands need not be contiguous along it.
    @Test("transposed products support odd depths", arguments: kernels)
    func oddDepthsOfTransposedProducts(kernels: (InstructionSet, Precision)) {
        let (rows, columns, depth) = (31, 45, 77)
        let a = Stored(numbers(rows * depth, seed: 1), columns: depth, kernels.1)
        let b = Stored(numbers(depth * columns, seed: 2), columns: columns, kernels.1)
        let aTransposed = transposed(a)
        let c = Buffer<Float>(count: rows * columns)
        ComputeEngine(instructionSet: kernels.0).multiplyTransposed(
            aTransposed.operand, b.operand, into: matrix(c, columns: columns))
        let isEqual = c.elements.elementsEqual(reference(a, b, before: nil, kernels.0))
        #expect(isEqual)
    }

    @Test(
        "outputs in bf16 are rounded once", arguments: [(1, 1, 2), (50, 97, 900), (70, 40, 3200)],
        [1, 3])
    func outputsAreRoundedOnce(shape: (rows: Int, columns: Int, depth: Int), threads: Int) {
        let (rows, columns, depth) = shape
        let a = Stored(numbers(rows * depth, seed: 1), columns: depth, .bf16)
        let b = Stored(numbers(depth * columns, seed: 2), columns: columns, .bf16)
        let c = Stored(rows: rows, columns: columns, .bf16)
        ComputeEngine(threads: threads).multiplyRounding(
            a.operand, b.operand, into: c.operand)
        let expected = reference(a, b, before: nil).map {
            Float(bitPattern: UInt32(roundedToBF16($0)) << 16)
        }
        #expect(c.floats == expected)
    }

    @Test(
        "the epilogue gets every element once and complete",
        arguments: [(1, 1), (50, 97), (300, 200), (61, 530)], [1, 3])
    func epilogueGetsEveryCompleteElementOnce(shape: (Int, Int), threads: Int) {
        let (rows, columns) = shape
        let depth = 900
        let a = Stored(numbers(rows * depth, seed: 1), columns: depth, .fp32)
        let b = Stored(numbers(depth * columns, seed: 2), columns: columns, .fp32)
        let seen = Buffer<Float>(count: rows * columns)
        let visits = Buffer<Int32>(count: rows * columns)
        ComputeEngine(threads: threads).forEachProductBlock(a.operand, b.operand) {
            elements, row, column in
            for i in 0..<elements.rows {
                for j in 0..<elements.columns {
                    let place = (row + i) * columns + column + j
                    visits.base[place] += 1
                    seen.base[place] = elements.row(i)[j]
                }
            }
        }
        #expect(visits.elements.allSatisfy { $0 == 1 })
        let isEqual = seen.elements.elementsEqual(reference(a, b, before: nil))
        #expect(isEqual)
    }

    @Test("products run other work between their tiles on one thread", arguments: [1, 3])
    func workBetweenTiles(threads: Int) {
        let a = Stored(numbers(1200 * 64, seed: 1), columns: 64, .fp32)
        let b = Stored(numbers(64 * 800, seed: 2), columns: 800, .fp32)
        let engine = ComputeEngine(threads: threads)
        let output = Buffer<Float>(count: 1200 * 800)
        let c = matrix(output, columns: 800)
        var calls = [0, 0, 0]
        engine.multiply(a.operand, b.operand, into: c) { calls[0] += 1 }
        engine.multiplyTransposed(
            transposed(a).operand, b.operand, into: c
        ) { calls[1] += 1 }
        engine.forEachProductBlock(
            a.operand, b.operand, betweenTiles: { calls[2] += 1 }, epilogue: { _, _, _ in })
        withExtendedLifetime(output) {}
        #expect(calls.allSatisfy { threads == 1 ? $0 > 1 : $0 == 0 }, "\(calls)")
    }

    /// The product has more rows than are packed at once and is compared with products of fewer
    /// rows.
    @Test("a row does not depend on the other rows", arguments: Precision.allCases, [1, 3])
    func rowsAreIndependent(precision: Precision, threads: Int) {
        let (rows, columns, depth) = (precision == .fp32 ? 2200 : 4400, 520, 2000)
        let a = Stored(numbers(rows * depth, seed: 1), columns: depth, precision)
        let b = Stored(numbers(depth * columns, seed: 2), columns: columns, precision)
        let engine = ComputeEngine(threads: threads)
        let whole = Buffer<Float>(count: rows * columns)
        let part = Buffer<Float>(count: rows * columns)
        engine.forEachProductBlock(a.operand, b.operand) { elements, row, column in
            for i in 0..<elements.rows {
                (whole.base + (row + i) * columns + column)
                    .update(from: elements.row(i), count: elements.columns)
            }
        }
        for first in stride(from: 0, to: rows, by: 100) {
            let some = first..<first + 100
            engine.multiply(
                a.operand.rows(some), b.operand, into: matrix(part, columns: columns).rows(some))
        }
        let isEqual = whole.elements.elementsEqual(part.elements)
        #expect(isEqual)
    }

    /// The matrices are columns of wider ones.
    @Test("elements between rows stay unchanged")
    func elementsBetweenRowsStayUnchanged() {
        let (rows, columns, depth) = (20, 30, 40)
        let a = buffer(numbers(rows * (depth + 3), seed: 1))
        let b = buffer(numbers(depth * (columns + 5), seed: 2))
        let c = buffer(numbers(rows * (columns + 7), seed: 3))
        let before = c.doubles
        ComputeEngine().multiply(
            Matrix(a.base + 2, rows: rows, columns: depth, stride: depth + 3).operand,
            Matrix(b.base + 1, rows: depth, columns: columns, stride: columns + 5).operand,
            into: Matrix(c.base + 4, rows: rows, columns: columns, stride: columns + 7))
        for i in 0..<rows {
            for j in 0..<columns + 7 {
                let place = i * (columns + 7) + j
                guard (4..<4 + columns) ~= j else {
                    #expect(c.doubles[place] == before[place])
                    continue
                }
                let exact = (0..<depth).reduce(0.0) {
                    $0 + a.doubles[i * (depth + 3) + 2 + $1]
                        * b.doubles[$1 * (columns + 5) + 1 + j - 4]
                }
                #expect(abs(c.doubles[place] - exact) < 1e-5)
            }
        }
    }

    private func transposed(_ x: Stored) -> Stored {
        let (rows, columns, values) = (x.operand.rows, x.operand.columns, x.doubles)
        let result = (0..<columns).flatMap { j in (0..<rows).map { values[$0 * columns + j] } }
        return Stored(result, columns: rows, x.operand.precision)
    }

    private func reference(
        _ a: Stored, _ b: Stored, before: [Double]?, _ instructionSet: InstructionSet = .best
    ) -> [Float] {
        instructionSet == .amx && a.operand.precision == .bf16
            ? referenceTileProduct(
                a.floats, b.floats, columns: b.operand.columns, depth: a.operand.columns,
                before: before?.map(Float.init))
            : chainReference(a, b, before: before)
    }

    /// Returns the product with the depth in equal parts of at most 3 KiB, rounded up to multiples
    /// of eight; in bf16 the second number of each pair comes before the first.
    private func chainReference(_ a: Stored, _ b: Stored, before: [Double]?) -> [Float] {
        let (rows, columns, depth) = (a.operand.rows, b.operand.columns, a.operand.columns)
        let most = 3072 / a.operand.precision.bytes
        let count = (depth + most - 1) / most
        let part = count == 1 ? depth : ((depth + count - 1) / count + 7) / 8 * 8
        let group = a.operand.precision == .bf16 ? 2 : 1
        let (left, right) = (a.floats, b.floats)
        var result: [Float] = []
        for i in 0..<rows {
            for j in 0..<columns {
                var total = before.map { Float($0[i * columns + j]) }
                for start in stride(from: 0, to: depth, by: part) {
                    let end = min(depth, start + part)
                    var sum: Float = 0
                    for pair in stride(from: start, to: end, by: group) {
                        for k in (pair..<min(end, pair + group)).reversed() {
                            sum.addProduct(left[i * depth + k], right[k * columns + j])
                        }
                    }
                    total = total.map { $0 + sum } ?? sum
                }
                result.append(total ?? 0)
            }
        }
        return result
    }
}
