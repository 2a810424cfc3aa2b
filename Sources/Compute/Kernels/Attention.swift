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
    private let blocks: [Block]
    private let scale: Float
    /// The factor that turns a score into an exponent of two.
    private let scale2: Float
    /// The number of elements between two rows of a block's probabilities. It is not a power of
    /// two, because such rows would share a few cache sets.
    private let rowStride: Int

    /// A block of query rows, and the keys that its last row attends to.
    private struct Block {
        let start: Int
        let rows: Int
        var keys: Int { start + rows }
    }

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
        blocks = stride(from: 0, to: length, by: blockRows).map { start in
            Block(start: start, rows: min(blockRows, length - start))
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
            let (sequence, head) = (tile / heads, tile % heads)
            let column = head * headWidth
            let rows = sequence * length..<(sequence + 1) * length
            let keys = packTransposed(qkv, rows, column + width, into: keyPanels[thread])
            let values = packRows(qkv, rows, column + 2 * width, into: valuePanels[thread])
            let scores = scoreMemory[thread].assumingMemoryBound(to: Float.self)
            let totals = scores + rowStride * blockRows
            let sums = Matrix(
                sumMemory[thread].assumingMemoryBound(to: Float.self), rows: blockRows,
                columns: headWidth)
            for block in blocks {
                let row = rows.lowerBound + block.start
                multiplyByPanels(
                    qkv.row(row, column: column), stride: qkv.stride, rows: block.rows, by: keys,
                    columns: block.keys, depth: headWidth, panelDepth: headWidth, into: scores,
                    stride: rowStride)
                for i in 0..<block.rows {
                    let (top2, total) = exponentiate(
                        scores + i * rowStride, valid: block.start + i + 1, count: block.keys)
                    totals[i] = total
                    logSumExp.base[tile * length + block.start + i] =
                        top2 + log2f(total)
                }
                if let dropout {
                    mask(scores, block, dropout.head(head, ofSequence: sequence, length: length))
                }
                roundRows(scores, block)
                multiplyByPanels(
                    scores, stride: operandStride, rows: block.rows, by: values, columns: headWidth,
                    depth: block.keys, panelDepth: length, into: sums.base, stride: sums.stride)
                // Cheaper here than on the probabilities, which are more numerous.
                for i in 0..<block.rows {
                    let factor = 1 / totals[i]
                    forEachVector(headWidth) { start, width in
                        let y = sums.row(i).load(start, width: width) * factor
                        output.store(y, row + i, column + start, width: width)
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
        let packedScores = engine.scratch(
            .packedLeft, bytes: isRounded ? blocks.reduce(0) { max($0, packedScoreBytes($1)) } : 0)
        engine.forEach(batch * heads) { tile, thread in
            let (sequence, head) = (tile / heads, tile % heads)
            let column = head * headWidth
            let rows = sequence * length..<(sequence + 1) * length
            let keysTransposed = packTransposed(
                qkv, rows, column + width, into: keyPanels[thread])
            let keys = packRows(qkv, rows, column + width, into: keyRowPanels[thread])
            let valuesTransposed = packTransposed(
                qkv, rows, column + 2 * width, into: valuePanels[thread])
            let probabilities = scoreMemory[thread].assumingMemoryBound(to: Float.self)
            let gradients = probabilities + rowStride * blockRows
            let sums = GradientSums(
                qkvGradient, rows, column: column, headWidth: headWidth, width: width
            ) { sumMemory[thread].assumingMemoryBound(to: Float.self) }
            let headDropout = dropout?.head(head, ofSequence: sequence, length: length)
            for block in blocks.reversed() {
                let row = rows.lowerBound + block.start
                let blockOfRows = row..<row + block.rows
                multiplyByPanels(
                    qkv.row(row, column: column), stride: qkv.stride, rows: block.rows,
                    by: keysTransposed, columns: block.keys, depth: headWidth,
                    panelDepth: headWidth, into: probabilities, stride: rowStride)
                multiplyByPanels(
                    outputGradient.row(row, column: column), stride: outputGradient.stride,
                    rows: block.rows, by: valuesTransposed, columns: block.keys, depth: headWidth,
                    panelDepth: headWidth, into: gradients, stride: rowStride)
                for i in 0..<block.rows {
                    let rowTotal = dot(
                        outputGradient, output, row: row + i,
                        columns: column..<column + headWidth)
                    softmaxBackward(
                        probabilities, gradients, of: block, row: i,
                        logSumExp: logSumExp.base[tile * length + block.start + i],
                        rowTotal: rowTotal, dropout: headDropout)
                }
                roundRows(probabilities, block)
                roundRows(gradients, block)
                multiplyByPanels(
                    gradients, stride: operandStride, rows: block.rows, by: keys,
                    columns: headWidth, depth: block.keys, panelDepth: length,
                    into: sums.queries.row(block.start), stride: sums.queries.stride)
                // The last block comes first and overwrites the gradients of all keys; the others
                // add to them.
                let adds = block.keys < length
                addOuterProduct(
                    of: block, probabilities,
                    packRows(outputGradient, blockOfRows, column, into: blockPanels[thread]),
                    into: sums.values, adds: adds
                ) { packedScores[thread] }
                addOuterProduct(
                    of: block, gradients,
                    packRows(qkv, blockOfRows, column, into: blockPanels[thread]),
                    into: sums.keys, adds: adds
                ) { packedScores[thread] }
            }
            sums.store(in: qkvGradient, rows, column: column, width: width)
        }
    }

    /// The gradients of a head, each (T, D): views of the final gradient or, if that is in bf16,
    /// fp32 sums in scratch memory until they are complete.
    private struct GradientSums {
        let queries: Matrix
        let keys: Matrix
        let values: Matrix

        init(
            _ gradient: Operand, _ rows: Range<Int>, column: Int, headWidth: Int, width: Int,
            memory: () -> UnsafeMutablePointer<Float>
        ) {
            let place = gradient.rows(rows).matrix
            let whole =
                place
                ?? Matrix(
                    memory(), rows: rows.count, columns: 3 * headWidth)
            let (first, step) = place == nil ? (0, headWidth) : (column, width)
            func part(_ number: Int) -> Matrix {
                let start = first + number * step
                return whole.columns(start..<start + headWidth)
            }
            (queries, keys, values) = (part(0), part(1), part(2))
        }

        func store(in gradient: Operand, _ rows: Range<Int>, column: Int, width: Int) {
            guard gradient.precision != .fp32 else { return }
            gradient.store(queries, rows.lowerBound, column)
            gradient.store(keys, rows.lowerBound, column + width)
            gradient.store(values, rows.lowerBound, column + 2 * width)
        }
    }

    // MARK: - Products on one thread

    private func floats(_ use: ScratchUse, _ count: Int) -> ThreadScratch {
        engine.scratch(use, bytes: count * MemoryLayout<Float>.stride)
    }

    /// The number of rows in every block of queries but the last.
    private var blockRows: Int { blocks.first?.rows ?? 0 }

    /// The size in bytes of a head's T rows of D, packed as the right operand (D, T).
    private var transposedPanelBytes: Int {
        kernels.panelBytes(columns: length, depth: headWidth)
    }

    /// Returns the size in bytes of some rows of D, packed as the right operand (rows, D).
    private func panelBytes(rows: Int) -> Int {
        kernels.panelBytes(columns: headWidth, depth: rows)
    }

    /// Packs a head's T rows of D, from a column on, as the right operand (D, T).
    private func packTransposed(
        _ matrix: Operand, _ rows: Range<Int>, _ column: Int, into panels: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        kernels.pack_right_transposed(
            matrix.row(rows.lowerBound, column: column), matrix.stride, headWidth, rows.count,
            panels)
        return panels
    }

    /// Packs rows of D, from a column on, as the right operand (rows, D).
    private func packRows(
        _ matrix: Operand, _ rows: Range<Int>, _ column: Int, into panels: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        kernels.pack_right(
            matrix.row(rows.lowerBound, column: column), matrix.stride, rows.count, headWidth,
            panels, nil)
        return panels
    }

    /// Computes `c` (rows, columns) = `a` (rows, depth) times the first `depth` rows of a packed
    /// operand.
    private func multiplyByPanels(
        _ a: UnsafeMutableRawPointer, stride aStride: Int, rows: Int,
        by panels: UnsafeMutableRawPointer, columns: Int, depth: Int, panelDepth: Int,
        into c: UnsafeMutablePointer<Float>, stride cStride: Int
    ) {
        var block = lockstep_block(
            rows: rows, columns: columns, depth: depth, a: a,
            a_panel_stride: Int(kernels.tile_rows) * aStride, a_row_stride: aStride,
            a_depth_stride: 1, b: panels,
            b_panel_stride: kernels.padded(depth: panelDepth) * Int(kernels.tile_columns), c: c,
            c_stride: cStride, accumulates: false, prefetch: noPrefetch)
        kernels.multiply_rows(&block)
    }

    /// Computes the transpose of a block's scores (rows, keys) times packed rows (rows, D), and
    /// stores it in `c` (keys, D) or adds it if `adds`.
    private func addOuterProduct(
        of rows: Block, _ scores: UnsafeMutablePointer<Float>, _ panels: UnsafeMutableRawPointer,
        into c: Matrix, adds: Bool, packedMemory: () -> UnsafeMutableRawPointer
    ) {
        let tileRows = Int(kernels.tile_rows)
        let depth = kernels.padded(depth: rows.rows)
        var block = lockstep_block(
            rows: rows.keys, columns: headWidth, depth: rows.rows, a: scores,
            a_panel_stride: tileRows, a_row_stride: 1, a_depth_stride: rowStride, b: panels,
            b_panel_stride: depth * Int(kernels.tile_columns), c: c.base, c_stride: c.stride,
            accumulates: adds, prefetch: noPrefetch)
        if precision == .bf16 {
            let packed = packedMemory()
            kernels.pack_left_transposed(scores, operandStride, rows.rows, rows.keys, packed)
            block.a = UnsafeRawPointer(packed)
            block.a_panel_stride = tileRows * depth
            block.a_depth_stride = tileRows
        }
        kernels.multiply_columns(&block)
    }

    /// Returns the size in bytes of a block's scores as a left operand that is stored transposed.
    private func packedScoreBytes(_ block: Block) -> Int {
        kernels.leftPanelBytes(rows: block.keys, depth: block.rows)
    }

    /// The stride of a block's probabilities in numbers once they are operands.
    private var operandStride: Int { rowStride * 4 / precision.bytes }

    /// Rounds a block's probabilities to the products' precision, each row in place. The elements
    /// between its keys and the next whole vector are zero.
    private func roundRows(_ scores: UnsafeMutablePointer<Float>, _ block: Block) {
        guard precision == .bf16 else { return }
        for i in 0..<block.rows {
            let row = scores + i * rowStride
            roundToOperand(row, count: wholeVectors(block.keys), into: row)
        }
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
        _ probabilities: UnsafeMutablePointer<Float>, _ gradients: UnsafeMutablePointer<Float>,
        of block: Block, row: Int, logSumExp: Float, rowTotal: Float, dropout: HeadDropout?
    ) {
        let p = probabilities + row * rowStride
        let dp = gradients + row * rowStride
        let position = block.start + row
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
        let behind = wholeVectors(block.keys) - valid
        (p + valid).update(repeating: 0, count: behind)
        (dp + valid).update(repeating: 0, count: behind)
    }

    private func mask(
        _ probabilities: UnsafeMutablePointer<Float>, _ block: Block, _ dropout: HeadDropout
    ) {
        for i in 0..<block.rows {
            let row = probabilities + i * rowStride
            forEachVector(block.start + i + 1) { start, width in
                let factors = dropout.factors(row: block.start + i, column: start)
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

extension Attention.Dropout {
    /// Returns the dropout of one head in one of the micro-batch's sequences of `length` tokens.
    fileprivate func head(_ head: Int, ofSequence sequence: Int, length: Int) -> HeadDropout {
        HeadDropout(
            key: key, site: DropoutSite.attention(layer: layer, head: head).number,
            sequence: UInt32(truncatingIfNeeded: firstSequence + sequence),
            rowGroups: (length + 7) / 8)
    }
}

private func wholeVectors(_ count: Int) -> Int { (count + 7) / 8 * 8 }

/// Returns the dot product of the same columns of one row of two operands.
@inline(__always)
private func dot(_ x: Operand, _ y: Operand, row: Int, columns: Range<Int>) -> Float {
    var total = Floats.zero
    forEachVector(columns.count) { start, width in
        let column = columns.lowerBound + start
        total = total.addingProduct(
            x.load(row, column, width: width), y.load(row, column, width: width))
    }
    return sum(total)
}
