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
        let product = Product(a, .direct, b, storage, kernels(a.precision))
        precondition(product.rows == c.rows && product.columns == c.columns)
        let tiling = Tiling(product, partsAtOnce: 1, threads: threadCount)
        let panels = sharedScratch(.packedRight, bytes: tiling.partBytes)
        // All slabs of one part before the next, so that the part of `a` is read from memory once.
        for part in 0..<product.partCount {
            for index in 0..<tiling.slabCount {
                let slab = tiling.slab(index)
                packRight(product, part, slab, into: panels)
                multiply(
                    product, part, 0..<product.rows, slab, tiling, panels, into: c,
                    accumulates: accumulates)
            }
        }
    }

    /// Adds a part of the depth to a slab of some rows, on all threads; the first part is written
    /// over what is there unless it `accumulates`.
    private func multiply(
        _ product: Product, _ part: Int, _ rows: Range<Int>, _ slab: Range<Int>, _ tiling: Tiling,
        _ panels: UnsafeMutableRawPointer, packedRows: UnsafeMutableRawPointer? = nil,
        into c: Matrix, accumulates: Bool
    ) {
        team.forEach(tiling.tileCount(rows, slab)) { tile, _ in
            let columns = tiling.columns(of: tile, rows, slab)
            product.forEachRowBlock(tiling.rows(of: tile, rows)) { block in
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
    /// `touched` are matrices of the product's shape in which the epilogue reads or writes the places
    /// of its elements: they are fetched meanwhile.
    package func multiply(
        _ a: Operand, _ b: Operand, _ storage: Storage = .direct,
        touching touched: (Operand?, Operand?) = (nil, nil), epilogue: Epilogue
    ) {
        let product = Product(a, .direct, b, storage, kernels(a.precision))
        let rows = 0..<product.rows
        // All parts at once, lest sums wait in memory for the next.
        let parts = product.partCount
        let tiling = Tiling(product, partsAtOnce: parts, threads: threadCount)
        let panels = sharedScratch(.packedRight, bytes: parts * tiling.partBytes)
        for index in 0..<tiling.slabCount {
            let slab = tiling.slab(index)
            for part in 0..<parts {
                packRight(product, part, slab, into: panels + part * tiling.partBytes)
            }
            team.forEach(tiling.tileCount(rows, slab)) { tile, thread in
                let columns = tiling.columns(of: tile, rows, slab)
                let elements = scratch(
                    .product, thread: thread, bytes: 4 * product.blockRows * tiling.columnsOfTile
                ).assumingMemoryBound(to: Float.self)
                product.forEachRowBlock(tiling.rows(of: tile, rows)) { block in
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
                partEnds()
            }
        }
    }

    /// Packs the columns of a slab, for a part of the depth, on all threads; adds to their sums.
    private func packRight(
        _ product: Product, _ part: Int, _ slab: Range<Int>, into panels: UnsafeMutableRawPointer,
        sums: UnsafeMutablePointer<Float>? = nil
    ) {
        let width = threadCount == 1 ? slab.count : columnsPackedByTile
        team.forEach((slab.count + width - 1) / width) { tile, _ in
            let start = slab.lowerBound + tile * width
            let columns = start..<min(slab.upperBound, start + width)
            product.packRight(
                part, columns, into: panels + product.panelOffset(part, columns, slab), sums: sums)
        }
    }

    /// Packs some rows of a left operand that is stored transposed, on all threads.
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
        let tiling = Tiling(product, partsAtOnce: 1, threads: threadCount)
        let panels = sharedScratch(.packedRight, bytes: tiling.partBytes)
        let packedRows = sharedScratch(.packedLeft, bytes: product.leftPanelBytes)
        for index in 0..<product.stripCount {
            let rows = product.strip(index)
            for part in 0..<product.partCount {
                packLeft(product, part, rows, tiling, into: packedRows)
                for index in 0..<tiling.slabCount {
                    let slab = tiling.slab(index)
                    packRight(
                        product, part, slab, into: panels, sums: rows.lowerBound == 0 ? sums : nil)
                    multiply(
                        product, part, rows, slab, tiling, panels, packedRows: packedRows, into: c,
                        accumulates: accumulates)
                }
            }
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
        let product = Product(a, .direct, b, storage, engine.kernels(a.precision))
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
        let product = Product(a, .transposed, b, .direct, engine.kernels(a.precision))
        let tiling = Tiling(product, partsAtOnce: 1, threads: engine.threadCount)
        noteShared(.packedRight, bytes: tiling.partBytes)
        noteShared(.packedLeft, bytes: product.leftPanelBytes)
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

/// A product: a left operand (rows, depth) times a right one (depth, columns), of either storage.
///
/// A left operand that is stored transposed is packed before it is multiplied.
private struct Product {
    let a: Operand
    let b: Operand
    let leftStorage: Storage
    let rightStorage: Storage
    let kernels: lockstep_microkernels
    let rows: Int
    let columns: Int
    let depth: Int
    /// Of the depth, but for the last part.
    let part: Int
    let partCount: Int
    /// Rows that are multiplied by one set of panels before the next: they stay in cache meanwhile.
    let blockRows: Int

    init(
        _ a: Operand, _ leftStorage: Storage, _ b: Operand, _ rightStorage: Storage,
        _ kernels: lockstep_microkernels
    ) {
        let isDirect = leftStorage == .direct
        (rows, depth) = isDirect ? (a.rows, a.columns) : (a.columns, a.rows)
        let (rightDepth, columns) =
            rightStorage == .direct ? (b.rows, b.columns) : (b.columns, b.rows)
        precondition(
            rightDepth == depth && a.precision == b.precision,
            "the right operand does not fit the left one")
        precondition(!isDirect || depth % Int(kernels.depth_group) == 0, "the depth is odd")
        self.columns = columns
        self.a = a
        self.b = b
        self.leftStorage = leftStorage
        self.rightStorage = rightStorage
        self.kernels = kernels
        part = depthPart(depth, kernels)
        partCount = max(1, (depth + part - 1) / part)
        let tileRows = Int(kernels.tile_rows)
        blockRows = tileRows * max(1, (isDirect ? 56 : 96) / tileRows)
    }

    /// Strips of rows whose panels are in memory together.
    var stripCount: Int { (rows + mostRowsPacked - 1) / mostRowsPacked }

    func strip(_ index: Int) -> Range<Int> {
        index * mostRowsPacked..<min(rows, (index + 1) * mostRowsPacked)
    }

    /// Bytes of the panels of a strip, for one part of the depth.
    var leftPanelBytes: Int {
        kernels.leftPanelBytes(rows: min(rows, mostRowsPacked), depth: part)
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

    /// Where the panels of a strip's rows begin.
    func leftPanelOffset(_ part: Int, _ rows: Range<Int>, _ strip: Range<Int>) -> Int {
        kernels.leftPanelBytes(
            rows: rows.lowerBound - strip.lowerBound, depth: depth(of: part).count)
    }

    func packLeft(_ part: Int, _ rows: Range<Int>, into panels: UnsafeMutableRawPointer) {
        let depth = depth(of: part)
        kernels.pack_left(
            a.row(depth.lowerBound, column: rows.lowerBound), a.stride, depth.count, rows.count,
            panels)
    }

    /// Packs some columns; adds to the sums of those of a direct operand, if they are asked for.
    func packRight(
        _ part: Int, _ columns: Range<Int>, into panels: UnsafeMutableRawPointer,
        sums: UnsafeMutablePointer<Float>? = nil
    ) {
        let depth = depth(of: part)
        switch rightStorage {
        case .direct:
            kernels.pack_rows(
                b.row(depth.lowerBound, column: columns.lowerBound), b.stride, depth.count,
                columns.count, panels, sums.map { $0 + columns.lowerBound })
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

    /// Multiplies some rows of a part of the depth by its panels. A left operand that is stored
    /// transposed is in `packedRows`.
    func multiply(
        _ rows: Range<Int>, _ part: Int, _ panels: UnsafeMutableRawPointer,
        packedRows: UnsafeMutableRawPointer? = nil, columns: Int,
        into c: UnsafeMutablePointer<Float>, stride: Int, accumulates: Bool,
        soon: (lockstep_soon, lockstep_soon) = nothingSoon
    ) {
        let depth = depth(of: part)
        let tileRows = Int(kernels.tile_rows)
        let padded = kernels.padded(depth: depth.count)
        var block = lockstep_block(
            rows: rows.count, columns: columns, depth: depth.count, a: packedRows,
            a_panel_stride: tileRows * padded, a_row_stride: 1, a_depth_stride: tileRows,
            b: panels, b_panel_stride: padded * Int(kernels.tile_columns), c: c, c_stride: stride,
            accumulates: accumulates, soon: soon)
        if leftStorage == .transposed { return kernels.multiply_columns(&block) }
        block.a = UnsafeRawPointer(a.row(rows.lowerBound, column: depth.lowerBound))
        block.a_panel_stride = tileRows * a.stride
        block.a_row_stride = a.stride
        block.a_depth_stride = 1
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
    let rowsOfTile: Int

    /// For slabs of which the panels of `partsAtOnce` parts of the depth are in memory together.
    init(_ product: Product, partsAtOnce: Int, threads: Int) {
        columns = product.columns
        // As many columns as leave their panels about half of a second-level cache.
        let bytes = product.part * Int(product.kernels.element_bytes)
        let width = min(192, max(96, 96 * 768 * 4 / max(1, bytes) / 96 * 96))
        columnsOfTile = min(width, columns)
        guard threads > 1 else {
            // Packed columns are in the one core's cache, and stay there.
            columnsOfSlab = columnsOfTile
            rowsOfTile = max(1, 1024 / product.blockRows) * product.blockRows
            partBytes = product.panelBytes(columns: columnsOfSlab)
            return
        }
        // Threads wait for each other twice a slab, so it is as large as fits a cache they share.
        let most = mostSlabBytes / max(1, partsAtOnce * bytes)
        columnsOfSlab = min(columns, max(1, most / width) * width)
        // Some tiles for each thread, so that all end together.
        let tileRows = Int(product.kernels.tile_rows)
        let across = (columnsOfSlab + width - 1) / width
        let wanted = (4 * threads + across - 1) / max(1, across)
        let panelsOfTile = (product.rows + wanted * tileRows - 1) / (wanted * tileRows)
        rowsOfTile = min(product.blockRows, tileRows * max(3, panelsOfTile))
        partBytes = product.panelBytes(columns: columnsOfSlab)
    }

    var slabCount: Int { (columns + columnsOfSlab - 1) / max(1, columnsOfSlab) }

    func slab(_ index: Int) -> Range<Int> {
        index * columnsOfSlab..<min(columns, (index + 1) * columnsOfSlab)
    }

    private func down(_ rows: Range<Int>) -> Int { (rows.count + rowsOfTile - 1) / rowsOfTile }

    /// Tiles of a slab of some rows: the rows of some columns before the next columns.
    func tileCount(_ rows: Range<Int>, _ slab: Range<Int>) -> Int {
        (slab.count + columnsOfTile - 1) / max(1, columnsOfTile) * down(rows)
    }

    func rows(of tile: Int, _ rows: Range<Int>) -> Range<Int> {
        let start = rows.lowerBound + tile % down(rows) * rowsOfTile
        return start..<min(rows.upperBound, start + rowsOfTile)
    }

    func columns(of tile: Int, _ rows: Range<Int>, _ slab: Range<Int>) -> Range<Int> {
        let start = slab.lowerBound + tile / down(rows) * columnsOfTile
        return start..<min(slab.upperBound, start + columnsOfTile)
    }
}

/// Bytes of packed columns that threads share.
private let mostSlabBytes = 2 << 20

/// The columns of a slab that one thread of several packs at a time; a multiple of every panel's.
private let columnsPackedByTile = 64

/// The rows of a left operand that is stored transposed whose panels are in memory together.
private let mostRowsPacked = 768
