import CCompute

// Matrix products after Goto & van de Geijn 2008 ("Anatomy of High-Performance Matrix
// Multiplication"): the depth is cut into parts, operands are packed into panels that are read in
// the order in which the kernel needs them, and tiles of the output are distributed over the team.
//
// An output element is a chain of fused multiply-adds along each part of the depth, and the parts
// are added in order. Only the depth decides where it is cut, so tiles, threads and the vector
// width do not affect the result.

/// The storage order of an operand.
package enum Storage: Sendable {
    /// Row by row, as the product needs it.
    case direct
    /// Row by row of its transpose.
    case transposed

    /// The storage of the transpose of an operand with this storage.
    package var opposite: Storage { self == .direct ? .transposed : .direct }
}

/// A closure that receives elements of a product, starting at (`row`, `column`). They are complete
/// and in cache, and the closure may change them.
package typealias Epilogue = (_ elements: Matrix, _ row: Int, _ column: Int) -> Void

// Each product takes `betweenTiles`, a closure that does the caller's work, which must not wait for
// the end of a large product. It is called between two tiles if the engine has one thread, and may
// use the team.
extension ComputeEngine {
    /// Computes `c` (rows, columns) = `a` (rows, depth) times `b`, or adds the product to `c` if it
    /// `accumulates`.
    ///
    /// `b` is (depth, columns), or (columns, depth) if it is stored transposed. Both have the same
    /// precision, and in bf16 the depth is even.
    package func multiply(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct, into c: Matrix,
        accumulates: Bool = false, betweenTiles: () -> Void = {}
    ) {
        let product = Product(
            a, leftStorage: .direct, b, rightStorage: storage, kernels: kernels(a.precision))
        addParts(
            of: product, to: c, sums: nil, accumulates: accumulates, betweenTiles: betweenTiles)
    }

    /// Computes the same product of `a` (rows, depth) and `b` in the precision of `c` (rows,
    /// columns).
    package func multiplyRounding(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct, into c: Operand,
        betweenTiles: () -> Void = {}
    ) {
        if let c = c.matrix {
            return multiply(a, b, storage, into: c, betweenTiles: betweenTiles)
        }
        forEachProductBlock(a, b, storage, touching: (c, nil), betweenTiles: betweenTiles) {
            elements, row, column in
            c.store(elements, row, column)
        }
    }

    /// Computes `c` (rows, columns) = the transpose of `a` (depth, rows) times `b` (depth,
    /// columns), or adds it to `c` if it `accumulates`; `a` and `b` have the same precision.
    ///
    /// `columnSums` (columns), if given, is set or added to in the same way, with the sum of b's
    /// rows in order.
    package func multiplyTransposed(
        _ a: Operand, _ b: Operand, into c: Matrix, columnSums: Vector? = nil,
        accumulates: Bool = false, betweenTiles: () -> Void = {}
    ) {
        let product = Product(
            a, leftStorage: .transposed, b, rightStorage: .direct, kernels: kernels(a.precision))
        let count = product.kernels.paddedColumns(c.columns)
        let sums = columnSums.map { _ in
            sharedScratch(.sums, bytes: count * MemoryLayout<Float>.stride)
                .assumingMemoryBound(to: Float.self)
        }
        if !isRecording { sums?.update(repeating: 0, count: count) }
        addParts(
            of: product, to: c, sums: sums, accumulates: accumulates, betweenTiles: betweenTiles)
        guard let columnSums, let sums, !isRecording else { return }
        forEachVector(c.columns) { start, width in
            var value = sums.load(start, width: width)
            if accumulates { value = columnSums.base.load(start, width: width) + value }
            columnSums.base.store(value, start, width: width)
        }
    }

    /// Computes the product of `a` (rows, depth) and `b` in blocks, and passes every element once
    /// to `epilogue`, on the thread that computed it; the elements are stored nowhere else.
    ///
    /// `touched` are matrices of the product's shape of which the epilogue reads or writes the same
    /// elements: they are prefetched.
    package func forEachProductBlock(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct,
        touching touched: (Operand?, Operand?) = (nil, nil), betweenTiles: () -> Void = {},
        epilogue: Epilogue
    ) {
        let product = Product(
            a, leftStorage: .direct, b, rightStorage: storage, kernels: kernels(a.precision))
        // With all parts at once, no sums wait in memory for the next part.
        let packed = PackedProduct(product, partsAtOnce: product.partCount, on: self)
        let elements = scratch(.product, bytes: 4 * product.blockRows * packed.tiling.columnsOfTile)
        for strip in 0..<packed.tiling.stripCount {
            let rows = packed.tiling.strip(strip)
            for part in 0..<product.partCount { packed.packLeft(part, rows, on: self) }
            for index in 0..<packed.tiling.slabCount {
                let slab = packed.tiling.slab(index)
                for part in 0..<product.partCount { packed.packRight(part, slab, on: self) }
                forEach(packed.tiling.tileCount(rows, slab)) { tile, thread in
                    packed.forEachBlock(
                        ofTile: tile, rows, slab, touching: touched,
                        in: elements[thread].assumingMemoryBound(to: Float.self),
                        epilogue: epilogue)
                    if threadCount == 1 { betweenTiles() }
                }
            }
        }
    }

    /// Sets `c` to the product, or adds it if it `accumulates`; adds the rows of b to `sums`.
    private func addParts(
        of product: Product, to c: Matrix, sums: UnsafeMutablePointer<Float>?, accumulates: Bool,
        betweenTiles: () -> Void
    ) {
        precondition(product.rows == c.rows && product.columns == c.columns)
        let packed = PackedProduct(product, partsAtOnce: 1, on: self)
        // Part after part, so that each part of `a` is read from memory once.
        for part in 0..<product.partCount {
            for strip in 0..<packed.tiling.stripCount {
                let rows = packed.tiling.strip(strip)
                packed.packLeft(part, rows, on: self)
                for index in 0..<packed.tiling.slabCount {
                    let slab = packed.tiling.slab(index)
                    // A slab of all columns is kept for the next strip.
                    if strip == 0 || packed.tiling.slabCount > 1 {
                        packed.packRight(part, slab, on: self, sums: strip == 0 ? sums : nil)
                    }
                    forEach(packed.tiling.tileCount(rows, slab)) { tile, _ in
                        packed.addPart(
                            part, ofTile: tile, rows, slab, to: c,
                            accumulates: accumulates || part > 0)
                        if threadCount == 1 { betweenTiles() }
                    }
                }
            }
        }
    }
}

/// A product with its tiling and the scratch memory of its packed operands.
private struct PackedProduct {
    let product: Product
    let tiling: Tiling
    private let partsAtOnce: Int
    /// The packed columns of a slab, part by part.
    private let panels: UnsafeMutableRawPointer
    /// The packed rows of a strip, part by part; nil if they are not packed.
    private let packedRows: UnsafeMutableRawPointer?

    init(_ product: Product, partsAtOnce: Int, on engine: ComputeEngine) {
        self.product = product
        self.partsAtOnce = partsAtOnce
        tiling = Tiling(product, partsAtOnce: partsAtOnce, threads: engine.threadCount)
        panels = engine.sharedScratch(.packedRight, bytes: tiling.panelBytes)
        packedRows =
            product.packsLeft
            ? engine.sharedScratch(.packedLeft, bytes: tiling.leftPanelBytes) : nil
    }

    /// Returns the index of a part among the parts that are in memory together.
    @inline(__always)
    private func place(of part: Int) -> Int { partsAtOnce == 1 ? 0 : part }

    /// Packs the columns of a slab, for a part of the depth, on all threads, and adds to their
    /// sums.
    func packRight(
        _ part: Int, _ slab: Range<Int>, on engine: ComputeEngine,
        sums: UnsafeMutablePointer<Float>? = nil
    ) {
        let width = tiling.columnsPackedAtOnce
        let panels = panels + place(of: part) * tiling.partBytes
        engine.forEach((slab.count + width - 1) / width) { tile, _ in
            let start = slab.lowerBound + tile * width
            let columns = start..<min(slab.upperBound, start + width)
            product.packRight(
                part, columns, into: panels + product.panelOffset(part, columns, slab), sums: sums)
        }
    }

    /// Packs some rows, for a part of the depth, on all threads; does nothing if rows are not
    /// packed.
    func packLeft(_ part: Int, _ rows: Range<Int>, on engine: ComputeEngine) {
        guard let packedRows else { return }
        let panels = packedRows + place(of: part) * tiling.leftPartBytes
        let height = min(product.blockRows, tiling.rowsOfTile)
        engine.forEach((rows.count + height - 1) / height) { tile, _ in
            let start = rows.lowerBound + tile * height
            let block = start..<min(rows.upperBound, start + height)
            product.packLeft(
                part, block, into: panels + product.leftPanelOffset(part, block, rows))
        }
    }

    /// Adds a part of the depth to a tile of `c`, in a slab of some rows, or overwrites the tile.
    func addPart(
        _ part: Int, ofTile tile: Int, _ rows: Range<Int>, _ slab: Range<Int>, to c: Matrix,
        accumulates: Bool
    ) {
        let (tileRows, columns) = tiling.tile(tile, rows, slab)
        product.forEachRowBlock(tileRows) { block in
            product.computeBlock(
                block, part, panels + product.panelOffset(part, columns, slab),
                packedRows: packedRows.map { $0 + product.leftPanelOffset(part, block, rows) },
                into: c.rows(block).columns(columns), accumulates: accumulates)
        }
    }

    /// Computes a tile over all parts of the depth, in a slab of some rows, and passes the elements
    /// to the epilogue.
    func forEachBlock(
        ofTile tile: Int, _ rows: Range<Int>, _ slab: Range<Int>,
        touching touched: (Operand?, Operand?), in elements: UnsafeMutablePointer<Float>,
        epilogue: Epilogue
    ) {
        let parts = product.partCount
        let (tileRows, columns) = tiling.tile(tile, rows, slab)
        product.forEachRowBlock(tileRows) { block in
            let (row, column) = (block.lowerBound, columns.lowerBound)
            let elements = Matrix(elements, rows: block.count, columns: columns.count)
            for part in 0..<parts {
                product.computeBlock(
                    block, part,
                    panels + part * tiling.partBytes + product.panelOffset(part, columns, slab),
                    packedRows: packedRows.map {
                        $0 + part * tiling.leftPartBytes
                            + product.leftPanelOffset(part, block, rows)
                    },
                    into: elements, accumulates: part > 0,
                    prefetch: part < parts - 1
                        ? noPrefetch
                        : (prefetch(touched.0, row, column), prefetch(touched.1, row, column)))
            }
            epilogue(elements, row, column)
        }
    }
}

/// The value that prefetches nothing.
var noPrefetch: (lockstep_prefetch, lockstep_prefetch) {
    (lockstep_prefetch(), lockstep_prefetch())
}

/// Returns the description of a matrix to prefetch from an element on.
private func prefetch(_ matrix: Operand?, _ row: Int, _ column: Int) -> lockstep_prefetch {
    guard let matrix else { return lockstep_prefetch() }
    return lockstep_prefetch(
        base: UnsafePointer(
            matrix.row(row, column: column).assumingMemoryBound(to: CChar.self)),
        row_bytes: matrix.stride * matrix.precision.bytes, element_bytes: matrix.precision.bytes)
}
