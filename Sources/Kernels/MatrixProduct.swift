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

/// Called when the elements of some rows and columns of a product are complete, and in cache.
package typealias Epilogue = (_ rows: Range<Int>, _ columns: Range<Int>) -> Void

extension ComputeEngine {
    /// `c` (rows, columns) = `a` (rows, depth) times `b`, or `c` += it if it `accumulates`.
    ///
    /// `b` is (depth, columns), or (columns, depth) if it is stored transposed.
    package func multiply(
        _ a: Matrix, _ b: Matrix, _ storage: Storage = .direct, into c: Matrix,
        accumulates: Bool = false
    ) {
        multiply(a, b, storage, into: c, accumulates: accumulates) { _, _ in }
    }

    /// The same; every element of the product is handed to the `epilogue` once, on the thread that
    /// computed it.
    package func multiply(
        _ a: Matrix, _ b: Matrix, _ storage: Storage = .direct, into c: Matrix,
        accumulates: Bool = false, epilogue: Epilogue
    ) {
        let depth = a.columns
        precondition(a.rows == c.rows, "a product has its left operand's rows")
        precondition(
            storage == .direct
                ? b.rows == depth && b.columns == c.columns
                : b.columns == depth && b.rows == c.columns,
            "the right operand does not fit the product")
        guard c.rows > 0, c.columns > 0 else { return }
        let kernels = singleKernels.pointee
        let tiles = OutputTiles(rows: c.rows, columns: c.columns, threads: threadCount)
        let part = depthPart(depth)
        let blockRows = Int(kernels.tile_rows) * max(1, 56 / Int(kernels.tile_rows))
        team.forEach(tiles.count) { tile, thread in
            let rows = tiles.rows(of: tile)
            let columns = tiles.columns(of: tile)
            let panels = scratch(
                .packedRight, thread: thread,
                bytes: panelBytes(kernels, columns: columns.count, depth: part))
            var start = 0
            repeat {
                let end = min(depth, start + part)
                packRight(kernels, b, storage, start..<end, columns, into: panels)
                for first in stride(from: rows.lowerBound, to: rows.upperBound, by: blockRows) {
                    let last = min(rows.upperBound, first + blockRows)
                    var block = lockstep_block(
                        rows: last - first, columns: columns.count, depth: end - start,
                        a: a.row(first) + start, a_panel_stride: Int(kernels.tile_rows) * a.stride,
                        a_row_stride: a.stride, a_depth_stride: 1, b: panels,
                        b_panel_stride: (end - start) * Int(kernels.tile_columns),
                        c: c.row(first) + columns.lowerBound, c_stride: c.stride,
                        accumulates: accumulates || start > 0)
                    kernels.multiply_rows(&block)
                    if end == depth { epilogue(first..<last, columns) }
                }
                start = end
            } while start < depth
        }
    }

    /// `c` (rows, columns) = the transpose of `a` (depth, rows) times `b` (depth, columns), or
    /// `c` += it if it `accumulates`.
    package func multiplyTransposed(
        _ a: Matrix, _ b: Matrix, into c: Matrix, accumulates: Bool = false
    ) {
        let depth = a.rows
        precondition(a.columns == c.rows && b.columns == c.columns && b.rows == depth)
        guard c.rows > 0, c.columns > 0 else { return }
        let kernels = singleKernels.pointee
        let part = depthPart(depth)
        let columnsAtOnce = min(c.columns, 3072)
        let panelWidth = 8 * Int(kernels.tile_columns)
        let panels = sharedScratch(
            .packedRight, bytes: panelBytes(kernels, columns: columnsAtOnce, depth: part))
        let blockRows = Int(kernels.tile_rows) * max(1, 96 / Int(kernels.tile_rows))
        for left in stride(from: 0, to: c.columns, by: columnsAtOnce) {
            let columns = left..<min(c.columns, left + columnsAtOnce)
            var start = 0
            repeat {
                let end = min(depth, start + part)
                // The right operand is packed once, by all; then each tile packs its own rows.
                team.forEach((columns.count + panelWidth - 1) / panelWidth) { tile, _ in
                    let offset = tile * panelWidth
                    let width = min(columns.count - offset, panelWidth)
                    packRight(
                        kernels, b, .direct, start..<end,
                        left + offset..<left + offset + width,
                        into: panels + offset * (end - start) * MemoryLayout<Float>.stride)
                }
                team.forEach((c.rows + blockRows - 1) / blockRows) { tile, thread in
                    let rows = tile * blockRows..<min(c.rows, (tile + 1) * blockRows)
                    let tileRows = Int(kernels.tile_rows)
                    let leftPanels = scratch(
                        .packedLeft, thread: thread,
                        bytes: blockRows * part * MemoryLayout<Float>.stride
                    ).assumingMemoryBound(to: Float.self)
                    kernels.pack_left(
                        a.row(start) + rows.lowerBound, a.stride, end - start, rows.count,
                        leftPanels)
                    var block = lockstep_block(
                        rows: rows.count, columns: columns.count, depth: end - start,
                        a: leftPanels, a_panel_stride: tileRows * (end - start), a_row_stride: 1,
                        a_depth_stride: tileRows, b: panels,
                        b_panel_stride: (end - start) * Int(kernels.tile_columns),
                        c: c.row(rows.lowerBound) + left, c_stride: c.stride,
                        accumulates: accumulates || start > 0)
                    kernels.multiply_columns(&block)
                }
                start = end
            } while start < depth
        }
    }

    private func packRight(
        _ kernels: lockstep_microkernels, _ b: Matrix, _ storage: Storage, _ depth: Range<Int>,
        _ columns: Range<Int>, into panels: UnsafeMutableRawPointer
    ) {
        let panels = panels.assumingMemoryBound(to: Float.self)
        switch storage {
        case .direct:
            kernels.pack_rows(
                b.row(depth.lowerBound) + columns.lowerBound, b.stride, depth.count,
                columns.count, panels)
        case .transposed:
            kernels.pack_transposed(
                b.row(columns.lowerBound) + depth.lowerBound, b.stride, depth.count,
                columns.count, panels)
        }
    }

    private func panelBytes(_ kernels: lockstep_microkernels, columns: Int, depth: Int) -> Int {
        let width = Int(kernels.tile_columns)
        return (columns + width - 1) / width * width * depth * MemoryLayout<Float>.stride
    }
}

/// The length of the parts into which a product's depth is cut; a function of the depth alone.
///
/// A panel of 768 by 16 is 48 KiB: it streams from the second-level cache, and the sums leave the
/// registers seldom enough.
private func depthPart(_ depth: Int) -> Int {
    let parts = (depth + 767) / 768
    return parts <= 1 ? max(1, depth) : ((depth + parts - 1) / parts + 7) / 8 * 8
}

/// The tiles of a product: columns that fit a core's cache once packed, and as many rows as leave
/// the threads enough tiles.
private struct OutputTiles {
    private static let width = 96
    private let totalRows: Int
    private let totalColumns: Int
    private let across: Int
    private let rowsOfTile: Int

    init(rows: Int, columns: Int, threads: Int) {
        totalRows = rows
        totalColumns = columns
        across = (columns + Self.width - 1) / Self.width
        // Packing costs one pass over the right operand for each run of rows.
        let wanted = threads == 1 ? 1 : (4 * threads + across - 1) / across
        let down = max(1, min(wanted, rows / 256))
        rowsOfTile = (rows + down - 1) / down
    }

    var count: Int { across * ((totalRows + rowsOfTile - 1) / rowsOfTile) }

    func rows(of tile: Int) -> Range<Int> {
        let start = tile / across * rowsOfTile
        return start..<min(totalRows, start + rowsOfTile)
    }

    func columns(of tile: Int) -> Range<Int> {
        let start = tile % across * Self.width
        return start..<min(totalColumns, start + Self.width)
    }
}
