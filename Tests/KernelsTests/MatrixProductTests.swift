import Kernels
import Tensors
import Testing

/// Matrix products against chains of fused multiply-adds written out: the bits, not only the values.
@Suite struct MatrixProductTests {
    /// Tiles' borders of both vector widths, depths below, at and beyond one part, odd sizes.
    static let shapes = [
        (1, 1, 1), (6, 16, 8), (7, 17, 9), (14, 32, 40), (15, 33, 100), (83, 97, 31),
        (130, 200, 770), (260, 96, 1601),
    ]

    @Test(arguments: shapes, InstructionSet.allCases.filter(\.isAvailable))
    func isAChainOfFusedMultiplyAdds(
        shape: (rows: Int, columns: Int, depth: Int), instructionSet: InstructionSet
    ) {
        let (rows, columns, depth) = shape
        let a = buffer(numbers(rows * depth, seed: 1))
        let b = buffer(numbers(depth * columns, seed: 2))
        let before = buffer(numbers(rows * columns, seed: 3))
        let aTransposed = transposed(a, columns: depth)
        let bTransposed = transposed(b, columns: columns)
        for (threads, accumulates) in [(1, false), (1, true), (3, true)] {
            let engine = ComputeEngine(threads: threads, instructionSet: instructionSet)
            let expected = reference(a, b, depth: depth, before: accumulates ? before : nil)
            for way in 0..<3 {
                // What must not be read is not a number, so that it would show.
                let c = Buffer<Float>(count: rows * columns)
                for index in 0..<c.count {
                    c.base[index] = accumulates ? before.base[index] : .nan
                }
                let output = matrix(c, columns: columns)
                switch way {
                case 0:
                    engine.multiply(
                        matrix(a, columns: depth), matrix(b, columns: columns), into: output,
                        accumulates: accumulates)
                case 1:
                    engine.multiply(
                        matrix(a, columns: depth), matrix(bTransposed, columns: depth),
                        .transposed, into: output, accumulates: accumulates)
                default:
                    engine.multiplyTransposed(
                        matrix(aTransposed, columns: rows), matrix(b, columns: columns),
                        into: output, accumulates: accumulates)
                }
                #expect(c.elements.elementsEqual(expected), "way \(way), \(threads) threads")
            }
        }
    }

    @Test(arguments: [(1, 1), (50, 97), (300, 200)], [1, 3])
    func theEpilogueSeesEveryElementOnceAndComplete(shape: (Int, Int), threads: Int) {
        let (rows, columns) = shape
        let depth = 900
        let a = buffer(numbers(rows * depth, seed: 1))
        let b = buffer(numbers(depth * columns, seed: 2))
        let c = Buffer<Float>(count: rows * columns)
        let seen = Buffer<Float>(count: rows * columns)
        let visits = Buffer<Int32>(count: rows * columns)
        ComputeEngine(threads: threads).multiply(
            matrix(a, columns: depth), matrix(b, columns: columns),
            into: matrix(c, columns: columns)
        ) { rowRange, columnRange in
            for i in rowRange {
                for j in columnRange {
                    visits.base[i * columns + j] += 1
                    seen.base[i * columns + j] = c.base[i * columns + j]
                }
            }
        }
        #expect(visits.elements.allSatisfy { $0 == 1 })
        #expect(seen.elements.elementsEqual(c.elements))
    }

    /// Matrices that are columns of wider ones; what lies beside them stays as it is.
    @Test func stridesAreKept() {
        let (rows, columns, depth) = (20, 30, 40)
        let a = buffer(numbers(rows * (depth + 3), seed: 1))
        let b = buffer(numbers(depth * (columns + 5), seed: 2))
        let c = buffer(numbers(rows * (columns + 7), seed: 3))
        let before = c.doubles
        ComputeEngine().multiply(
            Matrix(a.base + 2, rows: rows, columns: depth, stride: depth + 3),
            Matrix(b.base + 1, rows: depth, columns: columns, stride: columns + 5),
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

    private func transposed(_ x: Buffer<Float>, columns: Int) -> Buffer<Float> {
        let rows = x.count / columns
        let y = Buffer<Float>(count: x.count)
        for i in 0..<rows {
            for j in 0..<columns { y.base[j * rows + i] = x.base[i * columns + j] }
        }
        return y
    }

    /// The depth in equal parts of at most 768, rounded up to eights.
    private func reference(
        _ a: Buffer<Float>, _ b: Buffer<Float>, depth: Int, before: Buffer<Float>?
    ) -> [Float] {
        let (rows, columns) = (a.count / depth, b.count / depth)
        let count = (depth + 767) / 768
        let part = count == 1 ? depth : ((depth + count - 1) / count + 7) / 8 * 8
        var result: [Float] = []
        for i in 0..<rows {
            for j in 0..<columns {
                var total = before?.base[i * columns + j]
                for start in stride(from: 0, to: depth, by: part) {
                    var sum: Float = 0
                    for k in start..<min(depth, start + part) {
                        sum.addProduct(a.base[i * depth + k], b.base[k * columns + j])
                    }
                    total = total.map { $0 + sum } ?? sum
                }
                result.append(total ?? 0)
            }
        }
        return result
    }
}
