import CCompute

/// A product of a left operand (rows, depth) and a right operand (depth, columns), each of either
/// storage.
///
/// The right operand is always packed. The left operand is packed if that is required or saves
/// time.
struct Product {
    let a: Operand
    let b: Operand
    let leftStorage: Storage
    let rightStorage: Storage
    /// Whether the left operand is packed.
    let packsLeft: Bool
    let kernels: lockstep_microkernels
    let rows: Int
    let columns: Int
    let depth: Int
    /// The length of all parts of the depth except the last.
    let part: Int
    let partCount: Int
    /// The number of rows multiplied by one set of panels before the next; they stay in cache
    /// meanwhile.
    let blockRows: Int

    init(
        _ a: Operand, leftStorage: Storage, _ b: Operand, rightStorage: Storage,
        kernels: lockstep_microkernels
    ) {
        (rows, depth) =
            leftStorage == .direct ? (a.rows, a.columns) : (a.columns, a.rows)
        let (rightDepth, columns) =
            rightStorage == .direct ? (b.rows, b.columns) : (b.columns, b.rows)
        precondition(
            rightDepth == depth && a.precision == b.precision,
            "the right operand does not fit the left one")
        precondition(
            leftStorage == .transposed || depth % Int(kernels.depth_group) == 0,
            "the depth is odd")
        self.columns = columns
        self.a = a
        self.b = b
        self.leftStorage = leftStorage
        self.rightStorage = rightStorage
        packsLeft = leftStorage == .transposed || (columns >= leastPacked && depth >= leastPacked)
        if !packsLeft, let broad = kernels.broad?.pointee,
            broad.paddedColumns(columns) <= kernels.paddedColumns(columns)
        {
            self.kernels = broad
        } else {
            self.kernels = kernels
        }
        part = depthPart(depth, kernels)
        partCount = max(1, (depth + part - 1) / part)
        let tileRows = Int(self.kernels.tile_rows)
        // Rounds the size to whole tiles.
        blockRows = ((packsLeft ? 96 : 56) + tileRows / 2) / tileRows * tileRows
    }

    /// Returns the size in bytes of the panels of one part of the depth.
    func panelBytes(columns: Int) -> Int { kernels.panelBytes(columns: columns, depth: part) }

    private func depth(of part: Int) -> Range<Int> {
        part * self.part..<min(depth, (part + 1) * self.part)
    }

    /// Returns the byte offset of some columns' panels in those of their slab.
    func panelOffset(_ part: Int, _ columns: Range<Int>, _ slab: Range<Int>) -> Int {
        kernels.panelBytes(
            columns: columns.lowerBound - slab.lowerBound, depth: depth(of: part).count)
    }

    /// Returns the byte offset of some rows' panels in those of their strip.
    func leftPanelOffset(_ part: Int, _ rows: Range<Int>, _ strip: Range<Int>) -> Int {
        kernels.leftPanelBytes(
            rows: rows.lowerBound - strip.lowerBound, depth: depth(of: part).count)
    }

    func packLeft(_ part: Int, _ rows: Range<Int>, into panels: UnsafeMutableRawPointer) {
        let depth = depth(of: part)
        switch leftStorage {
        case .direct:
            kernels.pack_left(
                a.row(rows.lowerBound, column: depth.lowerBound), a.stride, depth.count,
                rows.count, panels)
        case .transposed:
            kernels.pack_left_transposed(
                a.row(depth.lowerBound, column: rows.lowerBound), a.stride, depth.count,
                rows.count, panels)
        }
    }

    /// Packs some columns, and adds to the sums of a direct operand's columns if requested.
    func packRight(
        _ part: Int, _ columns: Range<Int>, into panels: UnsafeMutableRawPointer,
        sums: UnsafeMutablePointer<Float>?
    ) {
        let depth = depth(of: part)
        switch rightStorage {
        case .direct:
            kernels.pack_right(
                b.row(depth.lowerBound, column: columns.lowerBound), b.stride, depth.count,
                columns.count, panels, sums.map { $0 + columns.lowerBound })
        case .transposed:
            kernels.pack_right_transposed(
                b.row(columns.lowerBound, column: depth.lowerBound), b.stride, depth.count,
                columns.count, panels)
        }
    }

    func forEachRowBlock(_ rows: Range<Int>, _ body: (Range<Int>) -> Void) {
        for start in stride(from: rows.lowerBound, to: rows.upperBound, by: blockRows) {
            body(start..<min(rows.upperBound, start + blockRows))
        }
    }

    /// Multiplies some rows of a part of the depth by its panels. `packedRows` holds the left
    /// operand if it is packed.
    func computeBlock(
        _ rows: Range<Int>, _ part: Int, _ panels: UnsafeMutableRawPointer,
        packedRows: UnsafeMutableRawPointer?, into c: Matrix, accumulates: Bool,
        prefetch: (lockstep_prefetch, lockstep_prefetch) = noPrefetch
    ) {
        let depth = depth(of: part)
        let tileRows = Int(kernels.tile_rows)
        let padded = kernels.padded(depth: depth.count)
        var block = lockstep_block(
            rows: rows.count, columns: c.columns, depth: depth.count, a: packedRows,
            a_panel_stride: tileRows * padded, a_row_stride: 1, a_depth_stride: tileRows,
            b: panels, b_panel_stride: padded * Int(kernels.tile_columns), c: c.base,
            c_stride: c.stride, accumulates: accumulates, prefetch: prefetch)
        if packedRows != nil { return kernels.multiply_columns(&block) }
        block.a = UnsafeRawPointer(a.row(rows.lowerBound, column: depth.lowerBound))
        block.a_panel_stride = tileRows * a.stride
        block.a_row_stride = a.stride
        block.a_depth_stride = 1
        kernels.multiply_rows(&block)
    }
}

extension lockstep_microkernels {
    /// Returns the number of elements along the depth that a panel holds, including trailing zeros.
    func padded(depth: Int) -> Int { padded(depth, to: depth_multiple) }

    /// Returns the number of columns rounded up to whole tiles.
    func paddedColumns(_ columns: Int) -> Int { padded(columns, to: tile_columns) }

    /// Returns the size in bytes of a right operand's panels.
    func panelBytes(columns: Int, depth: Int) -> Int {
        paddedColumns(columns) * padded(depth: depth) * element_bytes
    }

    /// Returns the number of elements between a right operand's panels.
    func panelStride(depth: Int) -> Int { padded(depth: depth) * tile_columns }

    /// Returns the size in bytes of a left operand's panels.
    func leftPanelBytes(rows: Int, depth: Int) -> Int {
        padded(rows, to: tile_rows) * padded(depth: depth) * element_bytes
    }

    private func padded(_ count: Int, to multiple: Int) -> Int {
        (count + multiple - 1) / multiple * multiple
    }
}

/// Returns the length of the parts into which a product's depth is cut. It depends only on the
/// depth, the precision and whether the kernels use AMX.
private func depthPart(_ depth: Int, _ kernels: lockstep_microkernels) -> Int {
    let most = Int(kernels.most_depth)
    let parts = (depth + most - 1) / most
    let multiple = max(8, Int(kernels.depth_multiple))
    return parts <= 1
        ? max(1, depth) : ((depth + parts - 1) / parts + multiple - 1) / multiple * multiple
}

/// The division of a product into strips of rows and slabs of columns. All threads pack a slab and
/// then compute it, in tiles whose packed columns fit a core's cache.
struct Tiling {
    /// The bytes of a slab's panels in memory, and of those for one part of the depth.
    let (panelBytes, partBytes): (Int, Int)
    /// The same for a strip's panels; 0 if the left operand is not packed.
    let (leftPanelBytes, leftPartBytes): (Int, Int)
    let columnsOfTile: Int
    let rowsOfTile: Int
    /// The number of columns that a thread packs at a time, in whole panels.
    let columnsPackedAtOnce: Int
    private let rows: Int
    private let rowsOfStrip: Int
    private let columns: Int
    private let columnsOfSlab: Int

    /// Creates a tiling whose strips and slabs have the panels of `partsAtOnce` parts of the depth
    /// in memory together.
    init(_ product: Product, partsAtOnce: Int, threads: Int) {
        rows = product.rows
        columns = product.columns
        let bytes = product.part * Int(product.kernels.element_bytes)
        // If there are more rows than columns, all panels of the columns stay in cache instead, and
        // the rows stream past them.
        let holdsColumns =
            threads == 1 && product.packsLeft && rows > columns
            && product.panelBytes(columns: columns) * partsAtOnce <= mostHeldBytes
        if product.packsLeft {
            // Strips are as high as memory allows and equally high: the columns are packed once per
            // strip.
            let tileRows = Int(product.kernels.tile_rows)
            let most = holdsColumns ? mostPassingBytes : mostStripBytes
            let strips = max(1, (rows * partsAtOnce * bytes + most - 1) / most)
            rowsOfStrip = max(1, (rows + strips * tileRows - 1) / (strips * tileRows)) * tileRows
            leftPartBytes = product.kernels.leftPanelBytes(
                rows: min(rows, rowsOfStrip), depth: product.part)
        } else {
            (rowsOfStrip, leftPartBytes) = (max(1, rows), 0)
        }
        leftPanelBytes = partsAtOnce * leftPartBytes
        // The tile is so wide that its panels fill about half of a second-level cache.
        let width = min(192, max(96, 96 * 768 * 4 / bytes / 96 * 96))
        columnsOfTile = max(1, min(width, columns))
        if holdsColumns {
            columnsOfSlab = columns
            rowsOfTile = product.blockRows
            columnsPackedAtOnce = columnsOfSlab
        } else if threads == 1 {
            // The packed columns stay in the cache of the one core.
            columnsOfSlab = columnsOfTile
            rowsOfTile = max(1, 1024 / product.blockRows) * product.blockRows
            columnsPackedAtOnce = columnsOfSlab
        } else {
            // Threads wait for each other twice per slab, so it is as large as their shared cache
            // allows.
            let most = mostSlabBytes / (partsAtOnce * bytes)
            columnsOfSlab = max(1, min(columns, max(1, most / width) * width))
            columnsPackedAtOnce = product.kernels.paddedColumns(
                (columnsOfSlab + 4 * threads - 1) / (4 * threads))
            // Each thread has many tiles, so that all end together even if one is slower.
            let tileRows = Int(product.kernels.tile_rows)
            let across = (columnsOfSlab + width - 1) / width
            let wanted = (24 * threads + across - 1) / across
            let panelsOfTile = (product.rows + wanted * tileRows - 1) / (wanted * tileRows)
            rowsOfTile = min(product.blockRows, tileRows * max(3, panelsOfTile))
        }
        partBytes = product.panelBytes(columns: columnsOfSlab)
        panelBytes = partsAtOnce * partBytes
    }

    /// The number of strips; one if no rows are packed.
    var stripCount: Int { (rows + rowsOfStrip - 1) / rowsOfStrip }

    func strip(_ index: Int) -> Range<Int> {
        index * rowsOfStrip..<min(rows, (index + 1) * rowsOfStrip)
    }

    var slabCount: Int { (columns + columnsOfSlab - 1) / columnsOfSlab }

    func slab(_ index: Int) -> Range<Int> {
        index * columnsOfSlab..<min(columns, (index + 1) * columnsOfSlab)
    }

    private func across(_ slab: Range<Int>) -> Int {
        (slab.count + columnsOfTile - 1) / columnsOfTile
    }

    /// Returns the number of tiles of a slab of some rows. Tiles cover all columns of a few rows
    /// before the next rows, so that a run of tiles is a run of rows.
    func tileCount(_ rows: Range<Int>, _ slab: Range<Int>) -> Int {
        (rows.count + rowsOfTile - 1) / rowsOfTile * across(slab)
    }

    /// Returns the rows and columns of a tile.
    func tile(
        _ index: Int, _ rows: Range<Int>, _ slab: Range<Int>
    ) -> (rows: Range<Int>, columns: Range<Int>) {
        let row = rows.lowerBound + index / across(slab) * rowsOfTile
        let column = slab.lowerBound + index % across(slab) * columnsOfTile
        return (
            row..<min(rows.upperBound, row + rowsOfTile),
            column..<min(slab.upperBound, column + columnsOfTile)
        )
    }
}

/// The most bytes of packed columns that threads share.
private let mostSlabBytes = 2 << 20

/// The most bytes of packed rows in memory together.
private let mostStripBytes = 16 << 20

/// The most bytes of packed columns that stay in one core's cache while packed rows stream past,
/// and the most bytes of those rows.
private let mostHeldBytes = 2 << 20
private let mostPassingBytes = 256 << 10

/// The smallest columns and depth for which packing an optional left operand saves more time than
/// it takes.
private let leastPacked = 512
