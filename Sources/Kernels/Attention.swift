import CMicrokernels
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
    private let kernels: lockstep_microkernels
    private let blocks: [Block]
    private let scale: Float
    /// Elements between two rows of a block's probabilities: off the powers of two, whose rows would
    /// share a few cache sets.
    private let rowStride: Int
    /// Columns of a head, and keys, once packed into panels.
    private let paddedHeadWidth: Int
    private let paddedLength: Int

    /// A block of query rows, and the keys that its last row may see.
    private struct Block {
        let start: Int
        let rows: Int
        var keys: Int { start + rows }
    }

    package init(
        batch: Int, length: Int, heads: Int, headWidth: Int, engine: ComputeEngine
    ) {
        self.batch = batch
        self.length = length
        self.heads = heads
        self.headWidth = headWidth
        self.engine = engine
        kernels = engine.singleKernels.pointee
        width = heads * headWidth
        scale = 1 / Float(headWidth).squareRoot()
        // Fewer rows waste less above the diagonal, more use what is packed more often.
        let blockRows = length <= 128 ? 24 : 48
        blocks = stride(from: 0, to: length, by: blockRows).map { start in
            Block(start: start, rows: min(blockRows, length - start))
        }
        rowStride = (length + 15) / 16 * 16 + 16
        let panel = Int(kernels.tile_columns)
        paddedHeadWidth = (headWidth + panel - 1) / panel * panel
        paddedLength = (length + panel - 1) / panel * panel
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
            let keys = packTransposed(q + width, .keys, thread)
            let values = packRows(q + 2 * width, qkv.stride, length, .values, thread)
            let blockRows = blocks.first?.rows ?? 0
            let scores = scratch(.probabilities, thread, (rowStride + 1) * blockRows)
            let totals = scores + rowStride * blockRows
            for block in blocks {
                multiply(
                    q + block.start * qkv.stride, qkv.stride, rows: block.rows, keys,
                    columns: block.keys, depth: headWidth, panelDepth: headWidth, into: scores,
                    rowStride)
                for i in 0..<block.rows {
                    let (top, total) = exponentiate(
                        scores + i * rowStride, valid: block.start + i + 1, count: block.keys)
                    totals[i] = total
                    logSumExp.base[tile * length + block.start + i] = top + logf(total)
                }
                if let dropout {
                    mask(scores, block, sequence, head, dropout)
                }
                let row = sequence * length + block.start
                multiply(
                    scores, rowStride, rows: block.rows, values, columns: headWidth,
                    depth: block.keys, panelDepth: length,
                    into: output.row(row) + head * headWidth, output.stride)
                // Cheaper here than among the probabilities, which are more.
                for i in 0..<block.rows {
                    let y = output.row(row + i) + head * headWidth
                    let factor = 1 / totals[i]
                    forEachVector(headWidth) { start, width in
                        y.store(y.load(start, width: width) * factor, start, width: width)
                    }
                }
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
            let packed = PackedHead(
                keysTransposed: packTransposed(q + width, .keys, thread),
                keys: packRows(q + width, qkv.stride, length, .queries, thread),
                valuesTransposed: packTransposed(q + 2 * width, .values, thread))
            let blockRows = blocks.first?.rows ?? 0
            let probabilities = scratch(.probabilities, thread, 2 * rowStride * blockRows)
            let gradients = probabilities + rowStride * blockRows
            for block in blocks.reversed() {
                let row = sequence * length + block.start
                let queries = q + block.start * qkv.stride
                let dOutput = outputGradient.row(row) + column
                multiply(
                    queries, qkv.stride, rows: block.rows, packed.keysTransposed,
                    columns: block.keys, depth: headWidth, panelDepth: headWidth,
                    into: probabilities, rowStride)
                multiply(
                    dOutput, outputGradient.stride, rows: block.rows, packed.valuesTransposed,
                    columns: block.keys, depth: headWidth, panelDepth: headWidth, into: gradients,
                    rowStride)
                for i in 0..<block.rows {
                    let rowTotal = dot(
                        outputGradient.row(row + i) + column, output.row(row + i) + column,
                        headWidth)
                    softmaxBackward(
                        probabilities, gradients, row: i, block,
                        logSumExp: logSumExp.base[tile * length + block.start + i],
                        rowTotal: rowTotal, sequence, head, dropout)
                }
                multiply(
                    gradients, rowStride, rows: block.rows, packed.keys, columns: headWidth,
                    depth: block.keys, panelDepth: length,
                    into: dq + block.start * qkvGradient.stride, qkvGradient.stride)
                // The last block comes first and touches all keys; the others add.
                let adds = block.keys < length
                addOuterProduct(
                    probabilities, dOutput, outputGradient.stride, block, adds,
                    into: dq + 2 * width, qkvGradient.stride, thread)
                addOuterProduct(
                    gradients, queries, qkv.stride, block, adds, into: dq + width,
                    qkvGradient.stride, thread)
            }
        }
    }

    // MARK: - Products on one thread

    /// A head's keys and values as the right operands of backward's products.
    private struct PackedHead {
        let keysTransposed: UnsafeMutablePointer<Float>  // (D, T)
        let keys: UnsafeMutablePointer<Float>  // (T, D)
        let valuesTransposed: UnsafeMutablePointer<Float>  // (D, T)
    }

    private func scratch(
        _ use: ScratchUse, _ thread: Int, _ count: Int
    ) -> UnsafeMutablePointer<Float> {
        engine.scratch(use, thread: thread, bytes: count * MemoryLayout<Float>.stride)
            .assumingMemoryBound(to: Float.self)
    }

    /// Packs a head's T rows of D as the right operand (D, T).
    private func packTransposed(
        _ rows: UnsafeMutablePointer<Float>, _ use: ScratchUse, _ thread: Int
    ) -> UnsafeMutablePointer<Float> {
        let panels = scratch(use, thread, headWidth * paddedLength)
        kernels.pack_transposed(rows, 3 * width, headWidth, length, panels)
        return panels
    }

    /// Packs rows of D as the right operand (rows, D).
    private func packRows(
        _ rows: UnsafeMutablePointer<Float>, _ stride: Int, _ count: Int, _ use: ScratchUse,
        _ thread: Int
    ) -> UnsafeMutablePointer<Float> {
        let panels = scratch(use, thread, count * paddedHeadWidth)
        kernels.pack_rows(rows, stride, count, headWidth, panels)
        return panels
    }

    /// `c` (rows, columns) = `a` (rows, depth) times the first `depth` rows of a packed operand.
    private func multiply(
        _ a: UnsafeMutablePointer<Float>, _ aStride: Int, rows: Int,
        _ panels: UnsafeMutablePointer<Float>, columns: Int, depth: Int, panelDepth: Int,
        into c: UnsafeMutablePointer<Float>, _ cStride: Int
    ) {
        var block = lockstep_block(
            rows: rows, columns: columns, depth: depth, a: a,
            a_panel_stride: Int(kernels.tile_rows) * aStride, a_row_stride: aStride,
            a_depth_stride: 1, b: panels, b_panel_stride: panelDepth * Int(kernels.tile_columns),
            c: c, c_stride: cStride, accumulates: false)
        kernels.multiply_rows(&block)
    }

    /// `c` (keys, D) = or += the transpose of `a` (rows, keys) times `b` (rows, D).
    private func addOuterProduct(
        _ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>, _ bStride: Int,
        _ rows: Block, _ adds: Bool, into c: UnsafeMutablePointer<Float>, _ cStride: Int,
        _ thread: Int
    ) {
        let panels = packRows(b, bStride, rows.rows, .packedRight, thread)
        var block = lockstep_block(
            rows: rows.keys, columns: headWidth, depth: rows.rows, a: a,
            a_panel_stride: Int(kernels.tile_rows), a_row_stride: 1, a_depth_stride: rowStride,
            b: panels, b_panel_stride: rows.rows * Int(kernels.tile_columns), c: c,
            c_stride: cStride, accumulates: adds)
        kernels.multiply_columns(&block)
    }

    // MARK: - Softmax

    /// exp(scale x - max) in the first `valid` places, zero behind; returns the largest scaled score
    /// and the sum.
    private func exponentiate(
        _ row: UnsafeMutablePointer<Float>, valid: Int, count: Int
    ) -> (largest: Float, total: Float) {
        // Rows end on whole vectors, so what is invalid only has to count for nothing.
        let end = (valid + 7) / 8 * 8
        (row + valid).update(repeating: -.infinity, count: end - valid)
        var largest = row.load8(0)
        for start in stride(from: 8, to: end, by: 8) {
            largest = pointwiseMaximum(row.load8(start), largest)
        }
        let top = maximum(largest) * scale
        var total = Floats.zero
        for start in stride(from: 0, to: end, by: 8) {
            let e = exponential(
                Floats(repeating: -top).addingProduct(
                    row.load8(start), Floats(repeating: scale)))
            total += e
            row.store8(e, start)
        }
        (row + valid).update(repeating: 0, count: max(end, count) - valid)
        return (top, sum(total))
    }

    /// P from the scores in its place and dS = scale P (m dP - D) in place of dP, then m P in place
    /// of P, where m is the dropout mask; zero behind the diagonal.
    ///
    /// D = sum of dO O is the row's total of m P dP (Dao et al. 2022, section B.4).
    private func softmaxBackward(
        _ probabilities: UnsafeMutablePointer<Float>, _ gradients: UnsafeMutablePointer<Float>,
        row: Int, _ block: Block, logSumExp: Float, rowTotal: Float, _ sequence: Int, _ head: Int,
        _ dropout: Dropout?
    ) {
        let p = probabilities + row * rowStride
        let dp = gradients + row * rowStride
        let position = block.start + row
        let valid = position + 1
        let end = (valid + 7) / 8 * 8
        for start in stride(from: 0, to: end, by: 8) {
            let x = exponential(
                Floats(repeating: -logSumExp).addingProduct(
                    p.load8(start), Floats(repeating: scale)))
            var dx = dp.load8(start)
            var kept = x
            if let dropout {
                let factors = factors(dropout, sequence, head, position, start)
                dx *= factors
                kept *= factors
            }
            p.store8(kept, start)
            dp.store8(x * (dx - rowTotal) * scale, start)
        }
        let behind = max(end, block.keys) - valid
        (p + valid).update(repeating: 0, count: behind)
        (dp + valid).update(repeating: 0, count: behind)
    }

    private func mask(
        _ probabilities: UnsafeMutablePointer<Float>, _ block: Block, _ sequence: Int, _ head: Int,
        _ dropout: Dropout
    ) {
        for i in 0..<block.rows {
            let row = probabilities + i * rowStride
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
