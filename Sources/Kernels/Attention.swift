import Tensors

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Planned causal multi-head self-attention over B sequences of T tokens, forward beside backward.
///
/// `qkv` is (B*T, 3C): queries, keys and values side by side, each of H heads of D = C / H columns.
/// Softmax(Q K^T / sqrt(D)) V is computed by blocks of query rows against the keys up to the block's
/// last row, so that nothing above the diagonal's blocks is computed and only one block of
/// probabilities exists at a time (Dao et al. 2022, without the split along keys). Forward keeps
/// each row's log-sum-exp; backward makes the probabilities from it again.
package final class Attention {
    private let batch: Int
    private let length: Int
    private let heads: Int
    private let headWidth: Int
    private let width: Int
    private let engine: ComputeEngine
    private let blocks: [Block]
    private let scale: Float

    /// Query rows in a block.
    private static let blockRows = 64

    /// The products of one block of query rows with all keys that its last row may see.
    private struct Block {
        let start: Int
        let rows: Int
        let keys: Int
        let scores: MatrixProduct  // Q K^T
        let output: MatrixProduct  // P V
        let probabilityGradient: MatrixProduct  // dO V^T
        let queryGradient: MatrixProduct  // dS K
        let keyGradient: MatrixProduct  // dS^T Q, and P^T dO: the same shape but for strides
        let valueGradient: MatrixProduct
    }

    package init(
        batch: Int, length: Int, heads: Int, headWidth: Int, engine: ComputeEngine
    ) {
        self.batch = batch
        self.length = length
        self.heads = heads
        self.headWidth = headWidth
        self.engine = engine
        width = heads * headWidth
        scale = 1 / Float(headWidth).squareRoot()
        engine.reserveScratch(2 * min(Self.blockRows, length) * length)
        let c = width
        blocks = stride(from: 0, to: length, by: Self.blockRows).map { start in
            let rows = min(Self.blockRows, length - start)
            let keys = start + rows
            let product = { (shape: MatrixProduct.Shape) in
                MatrixProduct(shape, engine: engine, splits: false)
            }
            // Keys of the last block are touched first by it in backward; the other blocks add.
            let accumulates = start + rows < length
            return Block(
                start: start, rows: rows, keys: keys,
                scores: product(
                    .init(
                        rows: rows, columns: keys, inner: headWidth, transposesB: true,
                        strideA: 3 * c, strideB: 3 * c)),
                output: product(
                    .init(
                        rows: rows, columns: headWidth, inner: keys, strideB: 3 * c, strideC: c)),
                probabilityGradient: product(
                    .init(
                        rows: rows, columns: keys, inner: headWidth, transposesB: true,
                        strideA: c, strideB: 3 * c)),
                queryGradient: product(
                    .init(
                        rows: rows, columns: headWidth, inner: keys, strideB: 3 * c,
                        strideC: 3 * c)),
                keyGradient: product(
                    .init(
                        rows: keys, columns: headWidth, inner: rows, transposesA: true,
                        strideB: 3 * c, strideC: 3 * c, accumulates: accumulates)),
                valueGradient: product(
                    .init(
                        rows: keys, columns: headWidth, inner: rows, transposesA: true,
                        strideB: c, strideC: 3 * c, accumulates: accumulates)))
        }
    }

    /// Where a call's dropout masks come from.
    package struct Dropout {
        let key: DropoutKey
        let layer: Int
        let firstSequence: Int

        package init(key: DropoutKey, layer: Int, firstSequence: Int) {
            self.key = key
            self.layer = layer
            self.firstSequence = firstSequence
        }
    }

    /// `output` (B*T, C) = attention(`qkv`); `logSumExp` (B*H*T) is kept for backward.
    package func forward(
        _ qkv: Matrix, into output: Matrix, logSumExp: Vector, dropout: Dropout?
    ) {
        precondition(qkv.rows == batch * length && qkv.stride == 3 * width)
        engine.team.forEach(batch * heads) { tile, thread in
            let (sequence, head) = (tile / heads, tile % heads)
            let q = qkv.row(sequence * length) + head * headWidth
            let scores = engine.scratch(thread)
            for block in blocks {
                let queries = q + block.start * 3 * width
                block.scores.run(queries, q + width, into: scores, thread: thread)
                for i in 0..<block.rows {
                    logSumExp.base[tile * length + block.start + i] = softmax(
                        scores + i * block.keys, valid: block.start + i + 1, count: block.keys)
                }
                if let dropout {
                    mask(scores, block, sequence, head, dropout)
                }
                block.output.run(
                    scores, q + 2 * width,
                    into: output.row(sequence * length + block.start) + head * headWidth,
                    thread: thread)
            }
        }
    }

    /// `qkvGradient` (B*T, 3C) from the output's gradient (B*T, C), with what forward was given and gave.
    package func backward(
        _ outputGradient: Matrix, qkv: Matrix, output: Matrix, logSumExp: Vector,
        into qkvGradient: Matrix, dropout: Dropout?
    ) {
        engine.team.forEach(batch * heads) { tile, thread in
            let (sequence, head) = (tile / heads, tile % heads)
            let column = head * headWidth
            let q = qkv.row(sequence * length) + column
            let dq = qkvGradient.row(sequence * length) + column
            let probabilities = engine.scratch(thread)
            let gradients = probabilities + min(Self.blockRows, length) * length
            for block in blocks.reversed() {
                let row = sequence * length + block.start
                let queries = q + block.start * 3 * width
                let dOutput = outputGradient.row(row) + column
                block.scores.run(queries, q + width, into: probabilities, thread: thread)
                for i in 0..<block.rows {
                    softmaxAgain(
                        probabilities + i * block.keys, valid: block.start + i + 1,
                        count: block.keys,
                        logSumExp: logSumExp.base[tile * length + block.start + i])
                }
                block.probabilityGradient.run(
                    dOutput, q + 2 * width, into: gradients, thread: thread)
                for i in 0..<block.rows {
                    let rowTotal = dot(
                        outputGradient.row(row + i) + column, output.row(row + i) + column,
                        headWidth)
                    softmaxBackward(
                        probabilities, gradients, row: i, rowTotal: rowTotal, block, sequence,
                        head, dropout)
                }
                block.valueGradient.run(
                    probabilities, dOutput, into: dq + 2 * width, thread: thread)
                block.queryGradient.run(
                    gradients, q + width, into: dq + block.start * 3 * width, thread: thread)
                block.keyGradient.run(gradients, queries, into: dq + width, thread: thread)
            }
        }
    }

    /// exp(scale x - max) / sum in the first `valid` places, zero behind; returns the log-sum-exp.
    private func softmax(
        _ row: UnsafeMutablePointer<Float>, valid: Int, count: Int
    ) -> Float {
        var largest = Floats(repeating: -.infinity)
        forEachVector(valid) { start, width in
            let x =
                width == 8 ? row.load8(start) : row.load(start, count: width, fill: -.infinity)
            largest = pointwiseMaximum(x, largest)
        }
        let top = maximum(largest) * scale
        var total = Floats.zero
        forEachVector(valid) { start, width in
            var e = exponential(
                Floats(repeating: -top).addingProduct(
                    row.load(start, width: width), Floats(repeating: scale)))
            if width < 8 { for lane in width..<8 { e[lane] = 0 } }
            total += e
            row.store(e, start, width: width)
        }
        let sum = sum(total)
        let factor = 1 / sum
        forEachVector(valid) { start, width in
            row.store(row.load(start, width: width) * factor, start, width: width)
        }
        (row + valid).update(repeating: 0, count: count - valid)
        return top + logf(sum)
    }

    /// The probabilities once more, from the scores and the log-sum-exp of their row.
    private func softmaxAgain(
        _ row: UnsafeMutablePointer<Float>, valid: Int, count: Int, logSumExp: Float
    ) {
        forEachVector(valid) { start, width in
            let x = Floats(repeating: -logSumExp).addingProduct(
                row.load(start, width: width), Floats(repeating: scale))
            row.store(exponential(x), start, width: width)
        }
        (row + valid).update(repeating: 0, count: count - valid)
    }

    /// dS = scale P (m dP - D) in place of dP, and m P in place of P, where m is the dropout mask.
    ///
    /// D = sum of dO O is the row's total of m P dP (Dao et al. 2022, section B.4).
    private func softmaxBackward(
        _ probabilities: UnsafeMutablePointer<Float>, _ gradients: UnsafeMutablePointer<Float>,
        row: Int, rowTotal: Float, _ block: Block, _ sequence: Int, _ head: Int,
        _ dropout: Dropout?
    ) {
        let p = probabilities + row * block.keys
        let dp = gradients + row * block.keys
        let position = block.start + row
        forEachVector(block.keys) { start, width in
            let x = p.load(start, width: width)
            var dx = dp.load(start, width: width)
            if let dropout {
                let factors = factors(dropout, sequence, head, position, start)
                dx *= factors
                p.store(x * factors, start, width: width)
            }
            dp.store(x * (dx - rowTotal) * scale, start, width: width)
        }
    }

    private func mask(
        _ probabilities: UnsafeMutablePointer<Float>, _ block: Block, _ sequence: Int, _ head: Int,
        _ dropout: Dropout
    ) {
        for i in 0..<block.rows {
            let row = probabilities + i * block.keys
            forEachVector(block.start + i + 1) { start, width in
                let factors = factors(dropout, sequence, head, block.start + i, start)
                row.store(row.load(start, width: width) * factors, start, width: width)
            }
        }
    }

    @inline(__always)
    private func factors(
        _ dropout: Dropout, _ sequence: Int, _ head: Int, _ position: Int, _ start: Int
    ) -> Floats {
        dropout.key.factors(
            site: DropoutSite.attention(layer: dropout.layer, head: head).number,
            sequence: UInt32(truncatingIfNeeded: dropout.firstSequence + sequence),
            group: UInt32(position * ((length + 7) / 8) + start / 8))
    }
}

@inline(__always)
private func dot(
    _ x: UnsafeMutablePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ count: Int
) -> Float {
    var total = Floats.zero
    forEachVector(count) { start, width in
        total = total.addingProduct(x.load(start, width: width), y.load(start, width: width))
    }
    return sum(total)
}

/// Attention of one query (C) over cached keys and values (positions, 2C), for generation.
///
/// `scores` needs room for one float per position; `output` is (1, C).
package func attendToCache(
    query: UnsafeMutablePointer<Float>, cache: Matrix, heads: Int, scores: Vector,
    into output: Matrix
) {
    precondition(scores.count >= cache.rows)
    let c = cache.columns / 2
    let d = c / heads
    let scale = 1 / Float(d).squareRoot()
    for head in 0..<heads {
        let q = query + head * d
        var largest = -Float.infinity
        for t in 0..<cache.rows {
            scores.base[t] = scale * dot(q, cache.row(t) + head * d, d)
            largest = max(largest, scores.base[t])
        }
        var total: Float = 0
        for t in 0..<cache.rows {
            scores.base[t] = expf(scores.base[t] - largest)
            total += scores.base[t]
        }
        let y = output.base + head * d
        forEachVector(d) { start, width in
            var sum = Floats.zero
            for t in 0..<cache.rows {
                let v = (cache.row(t) + c + head * d).load(start, width: width)
                sum = sum.addingProduct(v, Floats(repeating: scores.base[t] / total))
            }
            y.store(sum, start, width: width)
        }
    }
}
