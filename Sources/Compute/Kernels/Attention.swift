import CCompute
import Glibc

/// Planned causal multi-head self-attention over B sequences of T tokens, forward and backward.
///
/// `qkv` is (B*T, 3C): queries, keys and values side by side, each of H heads of D = C / H columns.
/// Softmax(Q K^T / sqrt(D)) V is computed by blocks of query rows against the keys up to the
/// block's last row, so blocks above the diagonal are skipped and only one block of probabilities
/// exists at a time (Dao et al. 2022, without the split along keys). Forward keeps each row's
/// log-sum-exp, to base 2, from which backward recomputes the probabilities. In bf16 the
/// probabilities and their gradients are rounded before they enter products; softmax itself is in
/// fp32.
package final class Attention {
    private let batch: Int
    private let length: Int
    private let heads: Int
    private let headWidth: Int
    private let width: Int
    private let precision: Precision
    private let engine: ComputeEngine
    private let kernels: lockstep_microkernels
    /// The rows of each block of queries, whose last row attends to the keys up to itself.
    private let blocks: [Range<Int>]
    private let scale: Float
    /// The factor that turns a score into an exponent of two.
    private let scale2: Float
    /// The number of elements between two rows of a block's probabilities. It is not a power of
    /// two, because such rows would share a few cache sets.
    private let rowStride: Int

    /// Creates the plan; in bf16 the width of heads must be even.
    package init(
        batch: Int, length: Int, heads: Int, headWidth: Int, precision: Precision = .fp32,
        engine: ComputeEngine
    ) {
        precondition(precision == .fp32 || headWidth % 2 == 0, "heads of odd width in bf16")
        self.batch = batch
        self.length = length
        self.heads = heads
        self.headWidth = headWidth
        self.precision = precision
        self.engine = engine
        kernels = engine.kernels(precision)
        width = heads * headWidth
        scale = 1 / Float(headWidth).squareRoot()
        scale2 = log2E * scale
        // Fewer rows waste less above the diagonal; more rows reuse packed operands more often.
        let wanted = length <= 128 ? 24 : 48
        // Whole tiles of AMX; all other kernels give the same bits, so they share one block height.
        let isTiled = precision == .bf16 && engine.instructionSet == .amx
        let blockRows = isTiled ? (wanted + 31) / 32 * 32 : wanted
        blocks = stride(from: 0, to: length, by: blockRows).map {
            $0..<min(length, $0 + blockRows)
        }
        rowStride = (length + 15) / 16 * 16 + 16
    }

    /// The source of a call's dropout masks.
    package struct Dropout {
        let key: DropoutKey
        let layer: Int
        let firstSequence: Int

        package init(key: DropoutKey, layer: Int, firstSequence: Int) {
            self.key = key
            self.layer = layer
            self.firstSequence = firstSequence
        }

        /// Returns the dropout of one head in one of the micro-batch's sequences of `length` tokens.
        fileprivate func head(_ head: Int, ofSequence sequence: Int, length: Int) -> HeadDropout {
            HeadDropout(
                key: key, site: DropoutSite.attention(layer: layer, head: head).number,
                sequence: UInt32(truncatingIfNeeded: firstSequence + sequence),
                rowGroups: (length + 7) / 8)
        }
    }

    /// Computes `output` (B*T, C) = attention(`qkv`), and keeps `logSumExp` (B*H*T) for backward.
    package func forward(
        _ qkv: Operand, into output: Operand, logSumExp: Vector, dropout: Dropout?
    ) {
        precondition(qkv.rows == batch * length && qkv.stride == 3 * width)
        precondition(qkv.precision == precision && output.precision == precision)
        let keyPanels = engine.scratch(.keys, bytes: transposedPanelBytes)
        let valuePanels = engine.scratch(.values, bytes: panelBytes(rows: length))
        let scoreMemory = floats(.probabilities, (rowStride + 1) * blockRows)
        let sumMemory = floats(.product, blockRows * headWidth)
        engine.forEach(batch * heads) { tile, thread in
            let queries = head(tile, of: qkv)
            let keys = packTransposed(head(tile, of: qkv, part: 1), into: keyPanels[thread])
            let values = packRows(head(tile, of: qkv, part: 2), into: valuePanels[thread])
            let result = head(tile, of: output)
            let headDropout = dropout?.head(tile % heads, ofSequence: tile / heads, length: length)
            let scoreBase = scoreMemory.floats(thread)
            let totals = scoreBase + rowStride * blockRows
            let sums = Matrix(sumMemory.floats(thread), rows: blockRows, columns: headWidth)
            for block in blocks {
                let scores = matrix(block, scoreBase)
                multiply(queries.rows(block), by: keys, into: scores)
                for (i, position) in block.enumerated() {
                    let (top2, total) = exponentiate(
                        scores.row(i), valid: position + 1, count: block.upperBound)
                    totals[i] = total
                    logSumExp.base[tile * length + position] = top2 + log2f(total)
                }
                if let headDropout { mask(scores, block, headDropout) }
                multiply(rounded(scores), by: values, into: sums)
                // Cheaper here than on the probabilities, which are more numerous.
                for (i, position) in block.enumerated() {
                    let factor = 1 / totals[i]
                    forEachVector(headWidth) { start, width in
                        let y = sums.row(i).load(start, width: width) * factor
                        result.store(y, position, start, width: width)
                    }
                }
            }
        }
    }

    /// Computes `qkvGradient` (B*T, 3C) from the output's gradient (B*T, C) and from the arguments
    /// and results of forward.
    package func backward(
        _ outputGradient: Operand, qkv: Operand, output: Operand, logSumExp: Vector,
        into qkvGradient: Operand, dropout: Dropout?
    ) {
        let keyPanels = engine.scratch(.keys, bytes: transposedPanelBytes)
        let keyRowPanels = engine.scratch(.queries, bytes: panelBytes(rows: length))
        let valuePanels = engine.scratch(.values, bytes: transposedPanelBytes)
        let scoreMemory = floats(.probabilities, 2 * rowStride * blockRows)
        let blockPanels = engine.scratch(.packedRight, bytes: panelBytes(rows: blockRows))
        let isRounded = precision != .fp32
        let sumMemory = floats(.gradients, isRounded ? 3 * length * headWidth : 0)
        let packedBytes = blocks.reduce(0) {
            max($0, kernels.leftPanelBytes(rows: $1.upperBound, depth: $1.count))
        }
        let packedScores = engine.scratch(.packedLeft, bytes: isRounded ? packedBytes : 0)
        engine.forEach(batch * heads) { tile, thread in
            let (queries, keys) = (head(tile, of: qkv), head(tile, of: qkv, part: 1))
            let keysTransposed = packTransposed(keys, into: keyPanels[thread])
            let keyRows = packRows(keys, into: keyRowPanels[thread])
            let valuesTransposed = packTransposed(
                head(tile, of: qkv, part: 2), into: valuePanels[thread])
            let (dy, y) = (head(tile, of: outputGradient), head(tile, of: output))
            let probabilityBase = scoreMemory.floats(thread)
            // The gradients (T, D) or, in bf16, fp32 sums until they are complete.
            func sums(_ part: Int) -> Matrix {
                head(tile, of: qkvGradient, part: part).matrix
                    ?? Matrix(
                        sumMemory.floats(thread) + part * headWidth, rows: length,
                        columns: headWidth, stride: 3 * headWidth)
            }
            let (querySums, keySums, valueSums) = (sums(0), sums(1), sums(2))
            let packed = isRounded ? packedScores[thread] : nil
            let headDropout = dropout?.head(tile % heads, ofSequence: tile / heads, length: length)
            for block in blocks.reversed() {
                let probabilities = matrix(block, probabilityBase)
                let gradients = matrix(block, probabilityBase + rowStride * blockRows)
                multiply(queries.rows(block), by: keysTransposed, into: probabilities)
                multiply(dy.rows(block), by: valuesTransposed, into: gradients)
                for position in block {
                    softmaxBackward(
                        probabilities, gradients, of: block, position: position,
                        logSumExp: logSumExp.base[tile * length + position],
                        rowTotal: dot(dy, y, row: position), dropout: headDropout)
                }
                let (p, ds) = (rounded(probabilities), rounded(gradients))
                multiply(ds, by: keyRows, into: querySums.rows(block))
                // The last block comes first and overwrites the gradients of all keys; the others
                // add to them.
                let adds = block.upperBound < length
                addOuterProduct(
                    of: p, packRows(dy.rows(block), into: blockPanels[thread]), into: valueSums,
                    adds: adds, packed: packed)
                addOuterProduct(
                    of: ds, packRows(queries.rows(block), into: blockPanels[thread]),
                    into: keySums, adds: adds, packed: packed)
            }
            guard isRounded else { return }
            for part in 0..<3 { head(tile, of: qkvGradient, part: part).store(sums(part)) }
        }
    }

    // MARK: - Views and memory

    /// Returns a head (T, D) of a matrix whose parts, such as keys, have C columns each.
    private func head(_ tile: Int, of matrix: Operand, part: Int = 0) -> Operand {
        let (sequence, head) = (tile / heads, tile % heads)
        let column = part * width + head * headWidth
        return matrix.rows(sequence * length..<(sequence + 1) * length)
            .columns(column..<column + headWidth)
    }

    /// Returns a block's scores (rows, keys) in memory.
    private func matrix(_ block: Range<Int>, _ base: UnsafeMutablePointer<Float>) -> Matrix {
        Matrix(base, rows: block.count, columns: block.upperBound, stride: rowStride)
    }

    private func floats(_ use: ScratchUse, _ count: Int) -> ThreadScratch {
        engine.scratch(use, bytes: count * MemoryLayout<Float>.stride)
    }

    /// The number of rows in every block of queries but the last.
    private var blockRows: Int { blocks.first?.count ?? 0 }

    /// The size in bytes of a head's T rows of D, packed as the right operand (D, T).
    private var transposedPanelBytes: Int {
        kernels.panelBytes(columns: length, depth: headWidth)
    }

    /// Returns the size in bytes of some rows of D, packed as the right operand (rows, D).
    private func panelBytes(rows: Int) -> Int {
        kernels.panelBytes(columns: headWidth, depth: rows)
    }

    // MARK: - Products on one thread

    /// A packed right operand, and the number of elements between its panels.
    private struct Panels {
        let base: UnsafeMutableRawPointer
        let stride: Int
    }

    /// Packs a head (T, D) as the right operand (D, T).
    private func packTransposed(_ x: Operand, into panels: UnsafeMutableRawPointer) -> Panels {
        kernels.pack_right_transposed(x.base, x.stride, x.columns, x.rows, panels)
        return Panels(base: panels, stride: kernels.panelStride(depth: x.columns))
    }

    /// Packs rows of D as the right operand (rows, D).
    private func packRows(_ x: Operand, into panels: UnsafeMutableRawPointer) -> Panels {
        kernels.pack_right(x.base, x.stride, x.rows, x.columns, panels, nil)
        return Panels(base: panels, stride: kernels.panelStride(depth: x.rows))
    }

    /// Computes `c` (rows, columns) = `a` (rows, depth) times the first `depth` rows of a packed
    /// operand.
    private func multiply(_ a: Operand, by panels: Panels, into c: Matrix) {
        var block = lockstep_block(
            rows: a.rows, columns: c.columns, depth: a.columns, a: a.base,
            a_panel_stride: Int(kernels.tile_rows) * a.stride, a_row_stride: a.stride,
            a_depth_stride: 1, b: panels.base, b_panel_stride: panels.stride, c: c.base,
            c_stride: c.stride, accumulates: false, prefetch: noPrefetch)
        kernels.multiply_rows(&block)
    }

    /// Computes the transpose of a block's scores (rows, keys) times packed rows (rows, D), and
    /// stores it in `c` (keys, D) or adds it if `adds`. In bf16 the scores are `packed` first.
    private func addOuterProduct(
        of scores: Operand, _ panels: Panels, into c: Matrix, adds: Bool,
        packed: UnsafeMutableRawPointer?
    ) {
        let tileRows = Int(kernels.tile_rows)
        var block = lockstep_block(
            rows: scores.columns, columns: c.columns, depth: scores.rows, a: scores.base,
            a_panel_stride: tileRows, a_row_stride: 1, a_depth_stride: scores.stride,
            b: panels.base, b_panel_stride: panels.stride, c: c.base, c_stride: c.stride,
            accumulates: adds, prefetch: noPrefetch)
        if let packed {
            kernels.pack_left_transposed(
                scores.base, scores.stride, scores.rows, scores.columns, packed)
            block.a = UnsafeRawPointer(packed)
            block.a_panel_stride = tileRows * kernels.padded(depth: scores.rows)
            block.a_depth_stride = tileRows
        }
        kernels.multiply_columns(&block)
    }

    /// Returns a block's probabilities as an operand of products, with each row rounded in place in
    /// bf16. The elements between its keys and the next whole vector are zero.
    private func rounded(_ scores: Matrix) -> Operand {
        if precision == .bf16 {
            for i in 0..<scores.rows {
                let row = scores.row(i)
                roundToOperand(row, count: wholeVectors(scores.columns), into: row)
            }
        }
        return Operand(
            scores.base, rows: scores.rows, columns: scores.columns,
            stride: rowStride * 4 / precision.bytes, precision: precision)
    }

    // MARK: - Softmax

    /// Computes exp(scale x - max) in the first `valid` elements, followed by zeros to the end of
    /// the vector that holds the last of the `count` keys; returns the largest score, times
    /// `scale2`, and the sum.
    private func exponentiate(
        _ row: UnsafeMutablePointer<Float>, valid: Int, count: Int
    ) -> (largest2: Float, total: Float) {
        // Rows end on whole vectors, so the invalid elements only have to contribute zero.
        let end = wholeVectors(valid)
        (row + valid).update(repeating: -.infinity, count: end - valid)
        var largest = row.load8(0)
        for start in stride(from: 8, to: end, by: 8) {
            largest = pointwiseMaximum(row.load8(start), largest)
        }
        let top2 = maximum(largest) * scale2
        var total = Floats.zero
        for start in stride(from: 0, to: end, by: 8) {
            let e = exponential2(
                Floats(repeating: -top2).addingProduct(
                    row.load8(start), Floats(repeating: scale2)))
            total += e
            row.store8(e, start)
        }
        (row + valid).update(repeating: 0, count: wholeVectors(count) - valid)
        return (top2, sum(total))
    }

    /// Replaces the scores by m P and dP by dS = scale P (m dP - D), where P are the probabilities
    /// and m is the dropout mask; both are zero after the diagonal.
    ///
    /// D = sum of dO O equals the row's sum of m P dP (Dao et al. 2022, section B.4).
    private func softmaxBackward(
        _ probabilities: Matrix, _ gradients: Matrix, of block: Range<Int>, position: Int,
        logSumExp: Float, rowTotal: Float, dropout: HeadDropout?
    ) {
        let p = probabilities.row(position - block.lowerBound)
        let dp = gradients.row(position - block.lowerBound)
        let valid = position + 1
        let end = wholeVectors(valid)
        for start in stride(from: 0, to: end, by: 8) {
            let x = exponential2(
                Floats(repeating: -logSumExp).addingProduct(
                    p.load8(start), Floats(repeating: scale2)))
            var dx = dp.load8(start)
            var kept = x
            if let dropout {
                let factors = dropout.factors(row: position, column: start)
                dx *= factors
                kept *= factors
            }
            p.store8(kept, start)
            dp.store8(x * (dx - rowTotal) * scale, start)
        }
        let behind = wholeVectors(block.upperBound) - valid
        (p + valid).update(repeating: 0, count: behind)
        (dp + valid).update(repeating: 0, count: behind)
    }

    private func mask(_ probabilities: Matrix, _ block: Range<Int>, _ dropout: HeadDropout) {
        for (i, position) in block.enumerated() {
            let row = probabilities.row(i)
            forEachVector(position + 1) { start, width in
                let factors = dropout.factors(row: position, column: start)
                row.store(row.load(start, width: width) * factors, start, width: width)
            }
        }
    }
}

/// The dropout of one head's probabilities in one sequence.
private struct HeadDropout {
    let key: DropoutKey
    let site: UInt32
    let sequence: UInt32
    /// The number of vectors in a row of probabilities.
    let rowGroups: Int

    /// Returns the factors of the eight probabilities that start at a column, a multiple of 8.
    @inline(__always)
    func factors(row: Int, column: Int) -> Floats {
        key.factors(site: site, sequence: sequence, group: UInt32(row * rowGroups + column / 8))
    }
}

private func wholeVectors(_ count: Int) -> Int { (count + 7) / 8 * 8 }

/// Returns the dot product of one row of two operands.
@inline(__always)
private func dot(_ x: Operand, _ y: Operand, row: Int) -> Float {
    var total = Floats.zero
    forEachVector(x.columns) { start, width in
        total = total.addingProduct(
            x.load(row, start, width: width), y.load(row, start, width: width))
    }
    return sum(total)
}
