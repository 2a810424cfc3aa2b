import CCompute
import Glibc

/// Planned causal multi-head self-attention over B sequences of T tokens, forward and backward.
///
/// `qkv` is (B*T, (H + 2K) D): queries of H heads of D columns, then keys and values of K heads side
/// by side. Each head of keys and values serves H / K consecutive heads of queries (Ainslie et al.
/// 2023); K is H without grouping. Softmax(Q K^T / sqrt(D)) V is computed by blocks of query rows
/// against the keys up to the block's last row, so blocks above the diagonal are skipped and only
/// one block of probabilities exists at a time (Dao et al. 2022, without the split along keys).
/// Positions within documents keep a row from the keys of the documents before its own.
/// Forward keeps each row's log-sum-exp, to base 2, from which backward recomputes the
/// probabilities. In bf16 the probabilities and their gradients are rounded before they enter
/// products; softmax itself is in fp32.
package final class Attention {
    private let batch: Int
    let length: Int
    private let heads: Int
    private let kvHeads: Int
    let headWidth: Int
    let precision: Precision
    private let engine: ComputeEngine
    let kernels: lockstep_microkernels
    /// The rows of each block of queries, whose last row attends to the keys up to itself.
    private let blocks: [Range<Int>]
    private let scale: Float
    /// The factor that turns a score into an exponent of two.
    private let scale2: Float
    /// The number of elements between two rows of a block's probabilities. It is not a power of
    /// two, because such rows would share a few cache sets.
    let rowStride: Int

    /// Creates the plan; in bf16 the width of heads must be even.
    ///
    /// - Parameter kvHeads: the heads of keys and values (K), a divisor of `heads`; if unset, as
    ///   many as heads.
    package init(
        batch: Int, length: Int, heads: Int, kvHeads: Int? = nil, headWidth: Int,
        precision: Precision = .fp32, engine: ComputeEngine
    ) {
        precondition(precision == .fp32 || headWidth % 2 == 0, "heads of odd width in bf16")
        precondition(heads % (kvHeads ?? heads) == 0, "heads do not share keys equally")
        self.batch = batch
        self.length = length
        self.heads = heads
        self.kvHeads = kvHeads ?? heads
        self.headWidth = headWidth
        self.precision = precision
        self.engine = engine
        kernels = engine.kernels(precision)
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

    /// Computes `output` (B*T, H D) = attention(`qkv`), and keeps `logSumExp` (B*H*T) for backward.
    ///
    /// - Parameter positions: the position of each row within its document; nil if every sequence is one
    ///   document.
    package func forward(
        _ qkv: Operand, positions: UnsafePointer<Int32>? = nil, into output: Operand,
        logSumExp: Vector, dropout: Dropout?
    ) {
        precondition(qkv.rows == batch * length && qkv.stride == (heads + 2 * kvHeads) * headWidth)
        precondition(qkv.precision == precision && output.precision == precision)
        let keyPanels = engine.scratch(.keys, bytes: transposedPanelBytes)
        let valuePanels = engine.scratch(.values, bytes: panelBytes(rows: length))
        let scoreMemory = floats(.probabilities, (rowStride + 1) * blockRows)
        let sumMemory = floats(.product, blockRows * headWidth)
        engine.forEach(batch * kvHeads) { group, thread in
            let keys = packTransposed(kvHead(group, of: qkv, .keys), into: keyPanels[thread])
            let values = packRows(kvHead(group, of: qkv, .values), into: valuePanels[thread])
            let sums = Matrix(sumMemory.floats(thread), rows: blockRows, columns: headWidth)
            for tile in tiles(ofGroup: group) {
                let dropout = dropout?.head(
                    tile % heads, ofSequence: tile / heads, length: length)
                for block in blocks {
                    attend(
                        block, of: tile, head(tile, of: qkv).rows(block), keys, values,
                        rowsOf: documents(of: tile, positions),
                        scores: matrix(block, scoreMemory.floats(thread)), sums: sums,
                        into: head(tile, of: output), logSumExp: logSumExp, dropout: dropout)
                }
            }
        }
    }

    /// Computes the output of a block of a head's queries.
    private func attend(
        _ block: Range<Int>, of tile: Int, _ queries: Operand, _ keys: Panels, _ values: Panels,
        rowsOf documents: Documents, scores: Matrix, sums: Matrix, into output: Operand,
        logSumExp: Vector,
        dropout: HeadDropout?
    ) {
        let totals = scores.base + rowStride * blockRows
        multiply(queries, by: keys, into: scores)
        for (i, position) in block.enumerated() {
            let (top2, total) = exponentiate(
                scores.row(i), valid: documents.keys(ofRow: position), count: block.upperBound)
            totals[i] = total
            logSumExp.base[tile * length + position] = top2 + log2f(total)
        }
        if let dropout { mask(scores, block, dropout) }
        multiply(rounded(scores), by: values, into: sums.rows(0..<block.count))
        // Cheaper here than on the probabilities, which are more numerous.
        for (i, position) in block.enumerated() {
            let factor = 1 / totals[i]
            forEachVector(headWidth) { start, width in
                let y = sums.row(i).load(start, width: width) * factor
                output.store(y, position, start, width: width)
            }
        }
    }

    /// The packed operands of a head of keys and values, and its gradients.
    private struct KVHead {
        let keysTransposed: Panels
        let keyRows: Panels
        let valuesTransposed: Panels
        let keySums: Matrix
        let valueSums: Matrix
    }

    /// A thread's memory for backward.
    private struct BackwardMemory {
        let probabilities: UnsafeMutablePointer<Float>
        let blockPanels: UnsafeMutableRawPointer
        let packedScores: UnsafeMutableRawPointer?
    }

    /// Computes `qkvGradient` (B*T, (H + 2K) D) from the output's gradient (B*T, H D) and from the
    /// arguments and results of forward.
    package func backward(
        _ outputGradient: Operand, qkv: Operand, positions: UnsafePointer<Int32>? = nil,
        output: Operand, logSumExp: Vector, into qkvGradient: Operand, dropout: Dropout?
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
        engine.forEach(batch * kvHeads) { group, thread in
            let (keys, values) = (kvHead(group, of: qkv, .keys), kvHead(group, of: qkv, .values))
            let keyGradient = kvHead(group, of: qkvGradient, .keys)
            let valueGradient = kvHead(group, of: qkvGradient, .values)
            // The gradients (T, D) or, in bf16, fp32 sums until they are complete.
            func sums(_ gradient: Operand, _ part: Int) -> Matrix {
                gradient.matrix
                    ?? Matrix(
                        sumMemory.floats(thread) + part * headWidth, rows: length,
                        columns: headWidth, stride: 3 * headWidth)
            }
            let shared = KVHead(
                keysTransposed: packTransposed(keys, into: keyPanels[thread]),
                keyRows: packRows(keys, into: keyRowPanels[thread]),
                valuesTransposed: packTransposed(values, into: valuePanels[thread]),
                keySums: sums(keyGradient, 1), valueSums: sums(valueGradient, 2))
            let memory = BackwardMemory(
                probabilities: scoreMemory.floats(thread), blockPanels: blockPanels[thread],
                packedScores: isRounded ? packedScores[thread] : nil)
            let tiles = tiles(ofGroup: group)
            for tile in tiles {
                let queryGradient = head(tile, of: qkvGradient)
                let querySums = sums(queryGradient, 0)
                propagate(
                    tile, head(tile, of: outputGradient), queries: head(tile, of: qkv),
                    output: head(tile, of: output), logSumExp: logSumExp,
                    rowsOf: documents(of: tile, positions), shared, memory,
                    into: querySums, adds: tile > tiles.lowerBound,
                    dropout: dropout?.head(
                        tile % heads, ofSequence: tile / heads, length: length))
                if isRounded { queryGradient.store(querySums) }
            }
            guard isRounded else { return }
            keyGradient.store(shared.keySums)
            valueGradient.store(shared.valueSums)
        }
    }

    /// Computes the gradients of a head of queries, and sets those of its keys and values or, if it
    /// `adds`, adds to them.
    private func propagate(
        _ tile: Int, _ dy: Operand, queries: Operand, output: Operand, logSumExp: Vector,
        rowsOf documents: Documents, _ shared: KVHead, _ memory: BackwardMemory,
        into querySums: Matrix, adds: Bool,
        dropout: HeadDropout?
    ) {
        for block in blocks.reversed() {
            let probabilities = matrix(block, memory.probabilities)
            let gradients = matrix(block, memory.probabilities + rowStride * blockRows)
            multiply(queries.rows(block), by: shared.keysTransposed, into: probabilities)
            multiply(dy.rows(block), by: shared.valuesTransposed, into: gradients)
            for position in block {
                softmaxBackward(
                    probabilities, gradients, of: block, position: position,
                    valid: documents.keys(ofRow: position),
                    logSumExp: logSumExp.base[tile * length + position],
                    rowTotal: dot(dy, output, row: position), dropout: dropout)
            }
            let (p, ds) = (rounded(probabilities), rounded(gradients))
            multiply(ds, by: shared.keyRows, into: querySums.rows(block))
            // The last block comes first and overwrites the gradients of all keys; the others add
            // to them.
            let adds = adds || block.upperBound < length
            addOuterProduct(
                of: p, packRows(dy.rows(block), into: memory.blockPanels), into: shared.valueSums,
                adds: adds, packed: memory.packedScores)
            addOuterProduct(
                of: ds, packRows(queries.rows(block), into: memory.blockPanels),
                into: shared.keySums, adds: adds, packed: memory.packedScores)
        }
    }

    /// The documents of one sequence.
    private struct Documents {
        /// The position of each row within its document; nil if the sequence is one document.
        let positions: UnsafePointer<Int32>?

        /// Returns the keys to which a row attends: those of its document up to itself.
        @inline(__always)
        func keys(ofRow row: Int) -> Range<Int> {
            row - (positions.map { Int($0[row]) } ?? row)..<row + 1
        }
    }

    private func documents(of tile: Int, _ positions: UnsafePointer<Int32>?) -> Documents {
        Documents(positions: positions.map { $0 + tile / heads * length })
    }

    // MARK: - Views and memory

    /// The parts of `qkv` after the queries.
    private enum Part: Int {
        case keys, values
    }

    /// Returns a head of queries or of the output (T, D). A tile is a head of one sequence.
    private func head(_ tile: Int, of matrix: Operand) -> Operand {
        columns(from: tile % heads * headWidth, of: matrix, sequence: tile / heads)
    }

    /// Returns a head of keys or values (T, D). A group is such a head of one sequence.
    private func kvHead(_ group: Int, of matrix: Operand, _ part: Part) -> Operand {
        columns(
            from: (heads + part.rawValue * kvHeads + group % kvHeads) * headWidth, of: matrix,
            sequence: group / kvHeads)
    }

    /// Returns the heads that share the keys and values of a group.
    private func tiles(ofGroup group: Int) -> Range<Int> {
        let share = heads / kvHeads
        return group * share..<(group + 1) * share
    }

    private func columns(from column: Int, of matrix: Operand, sequence: Int) -> Operand {
        matrix.rows(sequence * length..<(sequence + 1) * length)
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

    // MARK: - Softmax

    /// Computes exp(scale x - max) in the `valid` elements, and zeros before them and after them to the end of
    /// the vector that holds the last of the `count` keys; returns the largest score, times
    /// `scale2`, and the sum.
    private func exponentiate(
        _ row: UnsafeMutablePointer<Float>, valid: Range<Int>, count: Int
    ) -> (largest2: Float, total: Float) {
        // Rows end on whole vectors, so the invalid elements only have to contribute zero.
        let (begin, end) = (valid.lowerBound / 8 * 8, wholeVectors(valid.upperBound))
        (row + begin).update(repeating: -.infinity, count: valid.lowerBound - begin)
        (row + valid.upperBound).update(repeating: -.infinity, count: end - valid.upperBound)
        var largest = row.load8(begin)
        for start in stride(from: begin + 8, to: end, by: 8) {
            largest = pointwiseMaximum(row.load8(start), largest)
        }
        let top2 = maximum(largest) * scale2
        var total = Floats.zero
        for start in stride(from: begin, to: end, by: 8) {
            let e = exponential2(
                Floats(repeating: -top2).addingProduct(
                    row.load8(start), Floats(repeating: scale2)))
            total += e
            row.store8(e, start)
        }
        row.update(repeating: 0, count: valid.lowerBound)
        (row + valid.upperBound).update(
            repeating: 0, count: wholeVectors(count) - valid.upperBound)
        return (top2, sum(total))
    }

    /// Replaces the scores by m P and dP by dS = scale P (m dP - D), where P are the probabilities
    /// and m is the dropout mask; both are zero outside the `valid` keys.
    ///
    /// D = sum of dO O equals the row's sum of m P dP (Dao et al. 2022, section B.4).
    private func softmaxBackward(
        _ probabilities: Matrix, _ gradients: Matrix, of block: Range<Int>, position: Int,
        valid: Range<Int>, logSumExp: Float, rowTotal: Float, dropout: HeadDropout?
    ) {
        let p = probabilities.row(position - block.lowerBound)
        let dp = gradients.row(position - block.lowerBound)
        let (begin, end) = (valid.lowerBound / 8 * 8, wholeVectors(valid.upperBound))
        for start in stride(from: begin, to: end, by: 8) {
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
        let behind = wholeVectors(block.upperBound) - valid.upperBound
        p.update(repeating: 0, count: valid.lowerBound)
        dp.update(repeating: 0, count: valid.lowerBound)
        (p + valid.upperBound).update(repeating: 0, count: behind)
        (dp + valid.upperBound).update(repeating: 0, count: behind)
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

func wholeVectors(_ count: Int) -> Int { (count + 7) / 8 * 8 }

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
