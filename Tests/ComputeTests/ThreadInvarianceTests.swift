import Compute
import Testing

/// Tests that the bits of a kernel do not depend on the number of threads.
@Suite struct ThreadInvarianceTests {
    @Test("products have the same bits on any number of threads", arguments: Precision.allCases)
    func productsHaveTheSameBitsOnAnyThreads(precision: Precision) {
        let (n, inputs, outputs) = (260, 300, 520)
        let x = Stored(numbers(n * inputs, seed: 1), columns: inputs, precision)
        let w = Stored(numbers(inputs * outputs, seed: 2), columns: outputs, precision)
        let dy = Stored(numbers(n * outputs, seed: 3), columns: outputs, precision)
        let results = [1, 2, 3, 5].map { threads in
            let engine = ComputeEngine(threads: threads)
            let layer = Linear(weight: w.operand, bias: nil)
            let y = Stored(rows: n, columns: outputs, precision)
            let dw = Buffer<Float>(count: inputs * outputs)
            let dx = Stored(rows: n, columns: inputs, precision)
            layer.forward(x.operand, into: y.operand, engine: engine)
            engine.multiplyTransposed(
                x.operand, dy.operand, into: matrix(dw, columns: outputs))
            layer.backwardInput(dy.operand, into: dx.operand, engine: engine)
            return [y.floats, Array(dw.elements), dx.floats]
        }
        for result in results.dropFirst() { #expect(result == results[0]) }
    }

    @Test("teams run every tile once on distinct threads")
    func teamsRunEveryTileOnceOnDistinctThreads() {
        for threads in [1, 2, 4, 7] {
            let team = ThreadTeam(threads: threads)
            for tiles in [0, 1, 2, 5, 1000] {
                let counts = Buffer<Int32>(count: max(1, tiles))
                team.forEach(tiles) { tile, thread in
                    precondition(thread < threads)
                    counts.base[tile] += 1
                }
                #expect((0..<tiles).allSatisfy { counts.base[$0] == 1 })
            }
        }
    }

    @Test("dropout depends only on the position")
    func dropoutDependsOnlyOnThePosition() {
        let (length, c) = (6, 20)
        let ones = buffer([Double](repeating: 1, count: 4 * length * c))
        let key = DropoutKey(probability: 0.25, seed: 7, step: 11)
        let engine = ComputeEngine()
        let whole = Buffer<Float>(count: ones.count)
        dropout(
            matrix(ones, columns: c), into: matrix(whole, columns: c).operand,
            sequenceLength: length,
            firstSequence: 10, site: .embedding, key: key, engine: engine)
        // The sequences are the same, two at a time.
        for start in [0, 2] {
            let part = Buffer<Float>(count: 2 * length * c)
            dropout(
                Matrix(ones.base, rows: 2 * length, columns: c),
                into: matrix(part, columns: c).operand,
                sequenceLength: length, firstSequence: 10 + start, site: .embedding, key: key,
                engine: engine)
            let slice = whole.elements[start * length * c..<(start + 2) * length * c]
            #expect(part.elements.elementsEqual(slice))
        }
        let kept = whole.elements.filter { $0 != 0 }
        #expect(kept.allSatisfy { $0 == Float(1 / 0.75) })
        let share = Double(kept.count) / Double(whole.count)
        #expect(abs(share - 0.75) < 0.08)
        let other = Buffer<Float>(count: ones.count)
        dropout(
            matrix(ones, columns: c), into: matrix(other, columns: c).operand,
            sequenceLength: length,
            firstSequence: 10, site: .embedding,
            key: DropoutKey(probability: 0.25, seed: 7, step: 12), engine: engine)
        #expect(!other.elements.elementsEqual(whole.elements), "each step draws its own mask")
    }
}
