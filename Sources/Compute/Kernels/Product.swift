import CCompute

/// A product: a left operand (rows, depth) times a right one (depth, columns), of either storage.
///
/// The right operand is packed before it is multiplied, the left one where that pays or must be.
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
    /// Of the depth, but for the last part.
    let part: Int
    let partCount: Int
    /// Rows that are multiplied by one set of panels before the next: they stay in cache meanwhile.
    let blockRows: Int

    init(
        _ a: Operand, _ leftStorage: Storage, _ b: Operand, _ rightStorage: Storage,
        _ kernels: lockstep_microkernels
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

    /// Packs some columns; adds to the sums of those of a direct operand, if they are asked for.
    func packRight(
        _ part: Int, _ columns: Range<Int>, into panels: UnsafeMutableRawPointer,
        sums: UnsafeMutablePointer<Float>? = nil
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
        var first = rows.lowerBound
        while first < rows.upperBound {
            let end = min(rows.upperBound, first + blockRows)
            body(first..<end)
            first = end
        }
    }

    /// Multiplies some rows of a part of the depth by its panels. A left operand that is packed is
    /// in `packedRows`.
    func computeBlock(
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
        if packedRows != nil { return kernels.multiply_columns(&block) }
        block.a = UnsafeRawPointer(a.row(rows.lowerBound, column: depth.lowerBound))
        block.a_panel_stride = tileRows * a.stride
        block.a_row_stride = a.stride
        block.a_depth_stride = 1
        kernels.multiply_rows(&block)
    }
}

extension lockstep_microkernels {
    /// Elements along the depth that a panel holds, zeros behind included.
    func padded(depth: Int) -> Int { padded(depth, to: depth_multiple) }

    /// Columns in whole tiles.
    func paddedColumns(_ columns: Int) -> Int { padded(columns, to: tile_columns) }

    /// Bytes of a right operand's panels.
    func panelBytes(columns: Int, depth: Int) -> Int {
        paddedColumns(columns) * padded(depth: depth) * element_bytes
    }

    /// Bytes of the sums of a right operand's columns, in whole tiles.
    func columnSumBytes(columns: Int) -> Int {
        paddedColumns(columns) * MemoryLayout<Float>.stride
    }

    /// Bytes of a left operand's panels.
    func leftPanelBytes(rows: Int, depth: Int) -> Int {
        padded(rows, to: tile_rows) * padded(depth: depth) * element_bytes
    }

    private func padded(_ count: Int, to multiple: Int) -> Int {
        (count + multiple - 1) / multiple * multiple
    }
}

/// The length of the parts into which a product's depth is cut; a function of the depth, the
/// precision and whether there is AMX.
private func depthPart(_ depth: Int, _ kernels: lockstep_microkernels) -> Int {
    let most = Int(kernels.most_depth)
    let parts = (depth + most - 1) / most
    let multiple = max(8, Int(kernels.depth_multiple))
    return parts <= 1
        ? max(1, depth) : ((depth + parts - 1) / parts + multiple - 1) / multiple * multiple
}

/// How a product is shared out: strips of rows, and slabs of columns, which are packed by all
/// threads and then computed by all threads, in tiles whose packed columns fit a core's cache.
struct Tiling {
    /// Bytes of a slab's panels in memory, and of those for one part of the depth.
    let (panelBytes, partBytes): (Int, Int)
    /// The same of a strip's panels; 0 where the left operand is not packed.
    let (leftPanelBytes, leftPartBytes): (Int, Int)
    let columnsOfTile: Int
    let rowsOfTile: Int
    /// Columns that a thread packs at a time, in whole panels.
    let columnsPackedAtOnce: Int
    private let rows: Int
    private let rowsOfStrip: Int
    private let columns: Int
    private let columnsOfSlab: Int

    /// For strips and slabs of which the panels of `partsAtOnce` parts of the depth are in memory
    /// together.
    init(_ product: Product, partsAtOnce: Int, threads: Int) {
        rows = product.rows
        columns = product.columns
        let bytes = product.part * Int(product.kernels.element_bytes)
        // Where there are more rows than columns, rather the columns' panels stay in cache, all of
        // them, and the rows pass by.
        let holdsColumns =
            threads == 1 && product.packsLeft && rows > columns
            && product.panelBytes(columns: columns) * partsAtOnce <= mostHeldBytes
        if product.packsLeft {
            // Strips of one height, as high as memory allows: the columns are packed once for each.
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
        // As many columns as leave their panels about half of a second-level cache.
        let width = min(192, max(96, 96 * 768 * 4 / bytes / 96 * 96))
        columnsOfTile = max(1, min(width, columns))
        if holdsColumns {
            columnsOfSlab = columns
            rowsOfTile = product.blockRows
            columnsPackedAtOnce = columnsOfSlab
        } else if threads == 1 {
            // Packed columns are in the one core's cache, and stay there.
            columnsOfSlab = columnsOfTile
            rowsOfTile = max(1, 1024 / product.blockRows) * product.blockRows
            columnsPackedAtOnce = columnsOfSlab
        } else {
            // Threads wait for each other twice a slab, so it is as large as fits a cache they
            // share.
            let most = mostSlabBytes / (partsAtOnce * bytes)
            columnsOfSlab = max(1, min(columns, max(1, most / width) * width))
            columnsPackedAtOnce = product.kernels.paddedColumns(
                (columnsOfSlab + 4 * threads - 1) / (4 * threads))
            // Many tiles for each thread, so that all end together though one may be slower.
            let tileRows = Int(product.kernels.tile_rows)
            let across = (columnsOfSlab + width - 1) / width
            let wanted = (24 * threads + across - 1) / across
            let panelsOfTile = (product.rows + wanted * tileRows - 1) / (wanted * tileRows)
            rowsOfTile = min(product.blockRows, tileRows * max(3, panelsOfTile))
        }
        partBytes = product.panelBytes(columns: columnsOfSlab)
        panelBytes = partsAtOnce * partBytes
    }

    /// One where no rows are packed.
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

    /// Tiles of a slab of some rows: the columns of some rows before the next rows, so that a run of
    /// tiles is one of rows.
    func tileCount(_ rows: Range<Int>, _ slab: Range<Int>) -> Int {
        (rows.count + rowsOfTile - 1) / rowsOfTile * across(slab)
    }

    /// The rows and columns of a tile.
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

/// Bytes of packed columns that threads share.
private let mostSlabBytes = 2 << 20

/// Bytes of packed rows in memory together.
private let mostStripBytes = 16 << 20

/// Bytes of packed columns that stay in one core's cache while packed rows pass by, and of these.
private let mostHeldBytes = 2 << 20
private let mostPassingBytes = 256 << 10

/// The least columns and depth for which packing a left operand that need not be packed takes less
/// time than it saves.
private let leastPacked = 512
