import CMicrokernels
import Tensors

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
        let product = Product(a, b, storage, kernels(a.precision))
        precondition(product.rows == c.rows && product.columns == c.columns)
        let tiling = Tiling(product, partsAtOnce: 1, threads: threadCount)
        let panels = sharedScratch(.packedRight, bytes: tiling.partBytes)
        // All slabs of one part before the next, so that the part of `a` is read from memory once.
        for part in 0..<product.partCount {
            for slab in tiling.slabs {
                packRight(product, part, slab, into: panels)
                team.forEach(tiling.tileCount(slab)) { tile, _ in
                    let columns = tiling.columns(of: tile, slab)
                    product.forEachRowBlock(tiling.rows(of: tile)) { block in
                        product.multiply(
                            block, part, panels + product.panelOffset(part, columns, slab),
                            columns: columns.count,
                            into: c.row(block.lowerBound) + columns.lowerBound, stride: c.stride,
                            accumulates: accumulates || part > 0)
                    }
                }
                partEnds()
            }
        }
    }

    /// The product of `a` (rows, depth) and `b`, as above; the `epilogue` is handed every element
    /// once, on the thread that computed it, and nothing else keeps it.
    ///
    /// `touched` are matrices of the product's shape in which the epilogue reads or writes the places
    /// of its elements: they are fetched meanwhile.
    package func multiply(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct,
        touching touched: (Operand?, Operand?) = (nil, nil), epilogue: Epilogue
    ) {
        let product = Product(a, b, storage, kernels(a.precision))
        // All parts at once, lest sums wait in memory for the next.
        let parts = product.partCount
        let tiling = Tiling(product, partsAtOnce: parts, threads: threadCount)
        let panels = sharedScratch(.packedRight, bytes: parts * tiling.partBytes)
        for slab in tiling.slabs {
            for part in 0..<parts {
                packRight(product, part, slab, into: panels + part * tiling.partBytes)
            }
            team.forEach(tiling.tileCount(slab)) { tile, thread in
                let columns = tiling.columns(of: tile, slab)
                let elements = scratch(
                    .product, thread: thread, bytes: 4 * product.blockRows * tiling.columnsOfTile
                ).assumingMemoryBound(to: Float.self)
                product.forEachRowBlock(tiling.rows(of: tile)) { block in
                    for part in 0..<parts {
                        product.multiply(
                            block, part,
                            panels + part * tiling.partBytes
                                + product.panelOffset(part, columns, slab),
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
            }
            partEnds()
        }
    }

    /// Packs the columns of a slab, for a part of the depth, on all threads.
    private func packRight(
        _ product: Product, _ part: Int, _ slab: Range<Int>, into panels: UnsafeMutableRawPointer
    ) {
        let width = threadCount == 1 ? slab.count : columnsPackedByTile
        team.forEach((slab.count + width - 1) / width) { tile, _ in
            let start = slab.lowerBound + tile * width
            let columns = start..<min(slab.upperBound, start + width)
            product.packRight(
                part, columns, into: panels + product.panelOffset(part, columns, slab))
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
        let depth = a.rows
        precondition(a.columns == c.rows && b.columns == c.columns && b.rows == depth)
        precondition(a.precision == b.precision)
        guard c.rows > 0, c.columns > 0 else { return }
        let kernels = kernels(a.precision)
        let part = depthPart(depth, kernels)
        let columnsAtOnce = min(c.columns, mostColumnsAtOnce)
        let sums = columnSums.map { _ in
            let bytes = kernels.columnSumBytes(columns: c.columns)
            let sums = sharedScratch(.sums, bytes: bytes).assumingMemoryBound(to: Float.self)
            sums.update(repeating: 0, count: bytes / MemoryLayout<Float>.stride)
            return sums
        }
        let panels = sharedScratch(
            .packedRight, bytes: kernels.panelBytes(columns: columnsAtOnce, depth: part))
        let blockRows = transposedBlockRows(c.rows, threads: threadCount, kernels)
        for left in stride(from: 0, to: c.columns, by: columnsAtOnce) {
            let columns = left..<min(c.columns, left + columnsAtOnce)
            var start = 0
            repeat {
                let end = min(depth, start + part)
                let padded = kernels.padded(depth: end - start)
                // The right operand is packed once, by all; then each tile packs its own rows.
                team.forEach(
                    (columns.count + columnsPackedByTile - 1) / columnsPackedByTile
                ) { tile, _ in
                    let offset = tile * columnsPackedByTile
                    let width = min(columns.count - offset, columnsPackedByTile)
                    kernels.pack_rows(
                        b.row(start, column: left + offset), b.stride, end - start, width,
                        panels + offset * padded * Int(kernels.element_bytes),
                        sums.map { $0 + left + offset })
                }
                team.forEach((c.rows + blockRows - 1) / blockRows) { tile, thread in
                    let rows = tile * blockRows..<min(c.rows, (tile + 1) * blockRows)
                    let tileRows = Int(kernels.tile_rows)
                    let leftPanels = scratch(
                        .packedLeft, thread: thread,
                        bytes: kernels.leftPanelBytes(rows: blockRows, depth: part))
                    kernels.pack_left(
                        a.row(start, column: rows.lowerBound), a.stride, end - start, rows.count,
                        leftPanels)
                    var block = lockstep_block(
                        rows: rows.count, columns: columns.count, depth: end - start,
                        a: leftPanels, a_panel_stride: tileRows * padded, a_row_stride: 1,
                        a_depth_stride: tileRows, b: panels,
                        b_panel_stride: padded * Int(kernels.tile_columns),
                        c: c.row(rows.lowerBound) + left, c_stride: c.stride,
                        accumulates: accumulates || start > 0, soon: nothingSoon)
                    kernels.multiply_columns(&block)
                    partEnds()
                }
                start = end
            } while start < depth
        }
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
        let product = Product(a, b, storage, engine.kernels(a.precision))
        let parts = hasEpilogue ? product.partCount : 1
        let tiling = Tiling(product, partsAtOnce: parts, threads: engine.threadCount)
        noteShared(.packedRight, bytes: parts * tiling.partBytes)
        if hasEpilogue { note(.product, bytes: 4 * product.blockRows * tiling.columnsOfTile) }
    }

    /// Notes the product of the transpose of `a` and `b` as `multiplyTransposed` takes it, with the
    /// sums of b's columns or without.
    package mutating func noteTransposedProduct(
        _ a: Operand, _ b: Operand, columnSums: Bool, engine: ComputeEngine
    ) {
        let kernels = engine.kernels(a.precision)
        let part = depthPart(a.rows, kernels)
        noteShared(
            .packedRight,
            bytes: kernels.panelBytes(columns: min(b.columns, mostColumnsAtOnce), depth: part))
        if columnSums { noteShared(.sums, bytes: kernels.columnSumBytes(columns: b.columns)) }
        note(
            .packedLeft,
            bytes: kernels.leftPanelBytes(
                rows: transposedBlockRows(a.columns, threads: engine.threadCount, kernels),
                depth: part))
    }
}

/// The columns of a transposed product whose right operand is packed at once.
private let mostColumnsAtOnce = 3072

/// The rows of a transposed product that a tile packs: as many as fit a core's cache, or fewer of the
/// `rows` there are, so that threads end together.
private func transposedBlockRows(
    _ rows: Int, threads: Int, _ kernels: lockstep_microkernels
) -> Int {
    let tileRows = Int(kernels.tile_rows)
    let most = max(1, 96 / tileRows)
    guard threads > 1 else { return tileRows * most }
    let wanted = 4 * threads
    let tiles = (rows + tileRows - 1) / tileRows
    return tileRows * min(most, max(min(4, most), (tiles + wanted - 1) / wanted))
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

/// A product of a left operand that is contiguous along the depth and a right one of either storage.
private struct Product {
    let a: Operand
    let b: Operand
    let storage: Storage
    let kernels: lockstep_microkernels
    let rows: Int
    let columns: Int
    let depth: Int
    /// Of the depth, but for the last part.
    let part: Int
    let partCount: Int
    /// Rows that are multiplied by one set of panels before the next: they stay in cache meanwhile.
    let blockRows: Int

    init(_ a: Operand, _ b: Operand, _ storage: Storage, _ kernels: lockstep_microkernels) {
        let isDirect = storage == .direct
        precondition(
            a.columns == (isDirect ? b.rows : b.columns) && a.precision == b.precision,
            "the right operand does not fit the left one")
        precondition(a.columns % Int(kernels.depth_group) == 0, "the depth is odd")
        self.a = a
        self.b = b
        self.storage = storage
        self.kernels = kernels
        rows = a.rows
        columns = isDirect ? b.columns : b.rows
        depth = a.columns
        part = depthPart(depth, kernels)
        partCount = max(1, (depth + part - 1) / part)
        blockRows = Int(kernels.tile_rows) * max(1, 56 / Int(kernels.tile_rows))
    }

    /// Bytes of the panels of one part of the depth.
    func panelBytes(columns: Int) -> Int { kernels.panelBytes(columns: columns, depth: part) }

    private func depth(of part: Int) -> Range<Int> {
        part * self.part..<min(depth, (part + 1) * self.part)
    }

    /// Where the panels of a slab's columns begin.
    func panelOffset(_ part: Int, _ columns: Range<Int>, _ slab: Range<Int>) -> Int {
        kernels.panelBytes(
            columns: columns.lowerBound - slab.lowerBound, depth: depth(of: part).count)
    }

    func packRight(_ part: Int, _ columns: Range<Int>, into panels: UnsafeMutableRawPointer) {
        let depth = depth(of: part)
        switch storage {
        case .direct:
            kernels.pack_rows(
                b.row(depth.lowerBound, column: columns.lowerBound), b.stride, depth.count,
                columns.count, panels, nil)
        case .transposed:
            kernels.pack_transposed(
                b.row(columns.lowerBound, column: depth.lowerBound), b.stride, depth.count,
                columns.count, panels)
        }
    }

    func forEachRowBlock(_ rows: Range<Int>, _ body: (Range<Int>) -> Void) {
        var first = rows.lowerBound
        while first < rows.upperBound {
            let end = min(rows.upperBound, first + blockRows)
            body(first..<end)
            first = end
        }
    }

    /// Multiplies some rows of a part of the depth by its panels.
    func multiply(
        _ rows: Range<Int>, _ part: Int, _ panels: UnsafeMutableRawPointer, columns: Int,
        into c: UnsafeMutablePointer<Float>, stride: Int, accumulates: Bool,
        soon: (lockstep_soon, lockstep_soon) = nothingSoon
    ) {
        let depth = depth(of: part)
        var block = lockstep_block(
            rows: rows.count, columns: columns, depth: depth.count,
            a: a.row(rows.lowerBound, column: depth.lowerBound),
            a_panel_stride: Int(kernels.tile_rows) * a.stride, a_row_stride: a.stride,
            a_depth_stride: 1, b: panels,
            b_panel_stride: kernels.padded(depth: depth.count) * Int(kernels.tile_columns), c: c,
            c_stride: stride, accumulates: accumulates, soon: soon)
        kernels.multiply_rows(&block)
    }
}

extension lockstep_microkernels {
    /// Elements along the depth that a panel holds, zeros behind included.
    func padded(depth: Int) -> Int { padded(depth, to: depth_group) }

    /// Bytes of a right operand's panels.
    func panelBytes(columns: Int, depth: Int) -> Int {
        padded(columns, to: tile_columns) * padded(depth: depth) * element_bytes
    }

    /// Bytes of the sums of a right operand's columns, in whole tiles.
    func columnSumBytes(columns: Int) -> Int {
        padded(columns, to: tile_columns) * MemoryLayout<Float>.stride
    }

    /// Bytes of a left operand's panels.
    func leftPanelBytes(rows: Int, depth: Int) -> Int {
        padded(rows, to: tile_rows) * padded(depth: depth) * element_bytes
    }

    private func padded(_ count: Int, to multiple: Int) -> Int {
        (count + multiple - 1) / multiple * multiple
    }
}

/// The length of the parts into which a product's depth is cut; a function of depth and precision
/// alone.
///
/// A panel of 768 by 16 floats is 48 KiB: it streams from the second-level cache, and the sums leave
/// the registers seldom enough. As many bytes of bf16 are twice as deep.
private func depthPart(_ depth: Int, _ kernels: lockstep_microkernels) -> Int {
    let most = 768 * 4 / Int(kernels.element_bytes)
    let parts = (depth + most - 1) / most
    return parts <= 1 ? max(1, depth) : ((depth + parts - 1) / parts + 7) / 8 * 8
}

/// How a product is shared out: slabs of columns, which are packed by all threads and then computed by
/// all threads, in tiles whose packed columns fit a core's cache.
private struct Tiling {
    /// Bytes of a slab's panels, for one part of the depth.
    let partBytes: Int
    let columnsOfTile: Int
    private let columns: Int
    private let columnsOfSlab: Int
    private let rows: Int
    private let rowsOfTile: Int

    /// For slabs of which the panels of `partsAtOnce` parts of the depth are in memory together.
    init(_ product: Product, partsAtOnce: Int, threads: Int) {
        columns = product.columns
        rows = product.rows
        // As many columns as leave their panels about half of a second-level cache.
        let bytes = product.part * Int(product.kernels.element_bytes)
        let width = min(192, max(96, 96 * 768 * 4 / max(1, bytes) / 96 * 96))
        columnsOfTile = min(width, columns)
        guard threads > 1 else {
            // Packed columns are in the one core's cache, and stay there.
            columnsOfSlab = columnsOfTile
            rowsOfTile = rows
            partBytes = product.panelBytes(columns: columnsOfSlab)
            return
        }
        // Threads wait for each other twice a slab, so it is as large as fits a cache they share.
        let most = mostSlabBytes / max(1, partsAtOnce * bytes)
        columnsOfSlab = min(columns, max(1, most / width) * width)
        rowsOfTile = product.blockRows
        partBytes = product.panelBytes(columns: columnsOfSlab)
    }

    var slabs: some Sequence<Range<Int>> {
        stride(from: 0, to: columns, by: max(1, columnsOfSlab)).lazy.map {
            $0..<min(columns, $0 + columnsOfSlab)
        }
    }

    private var down: Int { (rows + rowsOfTile - 1) / max(1, rowsOfTile) }

    /// Tiles of a slab: the rows of some columns before the next columns.
    func tileCount(_ slab: Range<Int>) -> Int {
        (slab.count + columnsOfTile - 1) / columnsOfTile * down
    }

    func rows(of tile: Int) -> Range<Int> {
        let start = tile % down * rowsOfTile
        return start..<min(rows, start + rowsOfTile)
    }

    func columns(of tile: Int, _ slab: Range<Int>) -> Range<Int> {
        let start = slab.lowerBound + tile / down * columnsOfTile
        return start..<min(slab.upperBound, start + columnsOfTile)
    }
}

/// Bytes of packed columns that threads share.
private let mostSlabBytes = 2 << 20

/// The columns of a slab that one thread of several packs at a time; a multiple of every panel's.
private let columnsPackedByTile = 64
