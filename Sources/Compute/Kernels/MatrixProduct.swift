import CCompute

// Matrix products after Goto & van de Geijn 2008 ("Anatomy of High-Performance Matrix
// Multiplication"): the depth is cut into parts, operands are packed into panels that are read in
// the order in which the kernel needs them, and tiles of the output are shared out to the team.
//
// An output element is a chain of fused multiply-adds along each part of the depth, and the parts
// are added in order. Only the depth decides where it is cut, so neither the tiles nor the threads
// nor the vector width can be seen in the result.

/// How an operand is stored.
package enum Storage: Sendable {
    /// Row by row, as the product needs it.
    case direct
    /// Row by row of its transpose.
    case transposed
}

/// Called with elements of a product that are complete, in cache and the callee's to change: those
/// from (`row`, `column`) on.
package typealias Epilogue = (_ elements: Matrix, _ row: Int, _ column: Int) -> Void

extension ComputeEngine {
    /// `c` (rows, columns) = `a` (rows, depth) times `b`, or `c` += it if it `accumulates`.
    ///
    /// `b` is (depth, columns), or (columns, depth) if it is stored transposed. Both are of one
    /// precision, and in bf16 the depth is even.
    package func multiply(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct, into c: Matrix,
        accumulates: Bool = false
    ) {
        let product = Product(a, .direct, b, storage, kernels(a.precision))
        precondition(product.rows == c.rows && product.columns == c.columns)
        compute(product, into: c, accumulates: accumulates)
    }

    /// `c` = the product or, if it `accumulates`, += it; adds the rows of b to `sums`.
    private func compute(
        _ product: Product, into c: Matrix, sums: UnsafeMutablePointer<Float>? = nil,
        accumulates: Bool
    ) {
        let tiling = Tiling(product, partsAtOnce: 1, threads: threadCount)
        let panels = sharedScratch(.packedRight, bytes: tiling.panelBytes)
        let packedRows = packedRows(product, tiling)
        // One part before the next, so that the part of `a` is read from memory once.
        for part in 0..<product.partCount {
            for strip in 0..<tiling.stripCount {
                let rows = tiling.strip(strip)
                if let packedRows { packLeft(product, part, rows, tiling, into: packedRows) }
                for index in 0..<tiling.slabCount {
                    let slab = tiling.slab(index)
                    // A slab of all columns stays for the next strip.
                    if strip == 0 || tiling.slabCount > 1 {
                        packRight(
                            product, part, slab, tiling, into: panels,
                            sums: strip == 0 ? sums : nil)
                    }
                    multiply(
                        product, part, rows, slab, tiling, panels, packedRows: packedRows, into: c,
                        accumulates: accumulates)
                }
            }
        }
    }

    /// Adds a part of the depth to a slab of some rows, on all threads; the first part is written
    /// over what is there unless it `accumulates`.
    private func multiply(
        _ product: Product, _ part: Int, _ rows: Range<Int>, _ slab: Range<Int>, _ tiling: Tiling,
        _ panels: UnsafeMutableRawPointer, packedRows: UnsafeMutableRawPointer?,
        into c: Matrix, accumulates: Bool
    ) {
        team.forEach(tiling.tileCount(rows, slab)) { tile, _ in
            let (tileRows, columns) = tiling.tile(tile, rows, slab)
            product.forEachRowBlock(tileRows) { block in
                product.multiply(
                    block, part, panels + product.panelOffset(part, columns, slab),
                    packedRows: packedRows.map { $0 + product.leftPanelOffset(part, block, rows) },
                    columns: columns.count,
                    into: c.row(block.lowerBound) + columns.lowerBound, stride: c.stride,
                    accumulates: accumulates || part > 0)
            }
            partEnds()
        }
    }

    /// The product of `a` (rows, depth) and `b`, as above; the `epilogue` is handed every element
    /// once, on the thread that computed it, and nothing else keeps it.
    ///
    /// `touched` are matrices of the product's shape in which the epilogue reads or writes the
    /// places of its elements: they are fetched meanwhile.
    package func multiply(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct,
        touching touched: (Operand?, Operand?) = (nil, nil), epilogue: Epilogue
    ) {
        let product = Product(a, .direct, b, storage, kernels(a.precision))
        // All parts at once, lest sums wait in memory for the next.
        let parts = product.partCount
        let tiling = Tiling(product, partsAtOnce: parts, threads: threadCount)
        let panels = sharedScratch(.packedRight, bytes: tiling.panelBytes)
        let packedRows = packedRows(product, tiling)
        for strip in 0..<tiling.stripCount {
            let rows = tiling.strip(strip)
            if let packedRows {
                for part in 0..<parts {
                    packLeft(
                        product, part, rows, tiling, into: packedRows + part * tiling.leftPartBytes)
                }
            }
            for index in 0..<tiling.slabCount {
                let slab = tiling.slab(index)
                for part in 0..<parts {
                    packRight(
                        product, part, slab, tiling, into: panels + part * tiling.partBytes)
                }
                multiply(
                    product, rows, slab, tiling, panels, packedRows: packedRows,
                    touching: touched, epilogue: epilogue)
            }
        }
    }

    /// Computes a slab of some rows in all parts of the depth, on all threads, and hands the
    /// elements to the epilogue.
    private func multiply(
        _ product: Product, _ rows: Range<Int>, _ slab: Range<Int>, _ tiling: Tiling,
        _ panels: UnsafeMutableRawPointer, packedRows: UnsafeMutableRawPointer?,
        touching touched: (Operand?, Operand?), epilogue: Epilogue
    ) {
        let parts = product.partCount
        team.forEach(tiling.tileCount(rows, slab)) { tile, thread in
            let (tileRows, columns) = tiling.tile(tile, rows, slab)
            let elements = scratch(
                .product, thread: thread, bytes: 4 * product.blockRows * tiling.columnsOfTile
            ).assumingMemoryBound(to: Float.self)
            product.forEachRowBlock(tileRows) { block in
                for part in 0..<parts {
                    product.multiply(
                        block, part,
                        panels + part * tiling.partBytes
                            + product.panelOffset(part, columns, slab),
                        packedRows: packedRows.map {
                            $0 + part * tiling.leftPartBytes
                                + product.leftPanelOffset(part, block, rows)
                        },
                        columns: columns.count, into: elements, stride: columns.count,
                        accumulates: part > 0,
                        soon: part < parts - 1
                            ? nothingSoon
                            : (
                                soon(touched.0, block.lowerBound, columns.lowerBound),
                                soon(touched.1, block.lowerBound, columns.lowerBound)
                            ))
                }
                epilogue(
                    Matrix(elements, rows: block.count, columns: columns.count),
                    block.lowerBound, columns.lowerBound)
            }
            partEnds()
        }
    }

    /// Memory for the panels of a strip's rows, if they are packed.
    private func packedRows(_ product: Product, _ tiling: Tiling) -> UnsafeMutableRawPointer? {
        product.packsLeft ? sharedScratch(.packedLeft, bytes: tiling.leftPanelBytes) : nil
    }

    /// Packs the columns of a slab, for a part of the depth, on all threads; adds to their sums.
    private func packRight(
        _ product: Product, _ part: Int, _ slab: Range<Int>, _ tiling: Tiling,
        into panels: UnsafeMutableRawPointer, sums: UnsafeMutablePointer<Float>? = nil
    ) {
        let width = tiling.columnsPackedAtOnce
        team.forEach((slab.count + width - 1) / width) { tile, _ in
            let start = slab.lowerBound + tile * width
            let columns = start..<min(slab.upperBound, start + width)
            product.packRight(
                part, columns, into: panels + product.panelOffset(part, columns, slab), sums: sums)
        }
    }

    /// Packs some rows, for a part of the depth, on all threads.
    private func packLeft(
        _ product: Product, _ part: Int, _ rows: Range<Int>, _ tiling: Tiling,
        into panels: UnsafeMutableRawPointer
    ) {
        let height = min(product.blockRows, tiling.rowsOfTile)
        team.forEach((rows.count + height - 1) / height) { tile, _ in
            let start = rows.lowerBound + tile * height
            let block = start..<min(rows.upperBound, start + height)
            product.packLeft(
                part, block, into: panels + product.leftPanelOffset(part, block, rows))
        }
    }

    /// The product of `a` (rows, depth) and `b`, as above, in the precision of `c` (rows, columns).
    package func multiply(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct, into c: Operand
    ) {
        if let c = c.matrix { return multiply(a, b, storage, into: c) }
        multiply(a, b, storage, touching: (c, nil)) { elements, row, column in
            c.store(elements, row, column)
        }
    }

    /// `c` (rows, columns) = the transpose of `a` (depth, rows) times `b` (depth, columns), or
    /// `c` += it if it `accumulates`; `a` and `b` are of one precision.
    ///
    /// The same goes for `columnSums` (columns), if they are asked for, and the sum of b's rows, in
    /// their order.
    package func multiplyTransposed(
        _ a: Operand, _ b: Operand, into c: Matrix, columnSums: Vector? = nil,
        accumulates: Bool = false
    ) {
        let product = Product(a, .transposed, b, .direct, kernels(a.precision))
        precondition(product.rows == c.rows && product.columns == c.columns)
        let sums = columnSums.map { _ in
            let bytes = product.kernels.columnSumBytes(columns: c.columns)
            let sums = sharedScratch(.sums, bytes: bytes).assumingMemoryBound(to: Float.self)
            sums.update(repeating: 0, count: bytes / MemoryLayout<Float>.stride)
            return sums
        }
        compute(product, into: c, sums: sums, accumulates: accumulates)
        guard let columnSums, let sums else { return }
        forEachVector(c.columns) { start, width in
            var value = sums.load(start, width: width)
            if accumulates { value = columnSums.base.load(start, width: width) + value }
            columnSums.base.store(value, start, width: width)
        }
    }
}

extension ScratchDemand {
    /// Notes the product of `a` and `b` as `ComputeEngine.multiply` takes it, with an epilogue or
    /// straight into fp32.
    package mutating func noteProduct(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct, hasEpilogue: Bool,
        engine: ComputeEngine
    ) {
        let product = Product(a, .direct, b, storage, engine.kernels(a.precision))
        let parts = hasEpilogue ? product.partCount : 1
        let tiling = Tiling(product, partsAtOnce: parts, threads: engine.threadCount)
        noteShared(.packedRight, bytes: tiling.panelBytes)
        noteShared(.packedLeft, bytes: tiling.leftPanelBytes)
        if hasEpilogue { note(.product, bytes: 4 * product.blockRows * tiling.columnsOfTile) }
    }

    /// Notes the product of the transpose of `a` and `b` as `multiplyTransposed` takes it, with the
    /// sums of b's columns or without.
    package mutating func noteTransposedProduct(
        _ a: Operand, _ b: Operand, columnSums: Bool, engine: ComputeEngine
    ) {
        let product = Product(a, .transposed, b, .direct, engine.kernels(a.precision))
        let tiling = Tiling(product, partsAtOnce: 1, threads: engine.threadCount)
        noteShared(.packedRight, bytes: tiling.panelBytes)
        noteShared(.packedLeft, bytes: tiling.leftPanelBytes)
        guard columnSums else { return }
        noteShared(.sums, bytes: product.kernels.columnSumBytes(columns: b.columns))
    }
}

/// Nothing to fetch.
var nothingSoon: (lockstep_soon, lockstep_soon) { (lockstep_soon(), lockstep_soon()) }

/// A matrix to fetch, from a place on.
private func soon(_ matrix: Operand?, _ row: Int, _ column: Int) -> lockstep_soon {
    guard let matrix else { return lockstep_soon() }
    return lockstep_soon(
        base: UnsafePointer(
            matrix.row(row, column: column).assumingMemoryBound(to: CChar.self)),
        row_bytes: matrix.stride * matrix.precision.bytes, element_bytes: matrix.precision.bytes)
}
