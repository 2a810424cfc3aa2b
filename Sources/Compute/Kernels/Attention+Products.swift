import CCompute

// The matrix products of attention, each on one thread.
extension Attention {
    /// A packed right operand, and the number of elements between its panels.
    struct Panels {
        let base: UnsafeMutableRawPointer
        let stride: Int
    }

    /// Packs a head (T, D) as the right operand (D, T).
    func packTransposed(_ x: Operand, into panels: UnsafeMutableRawPointer) -> Panels {
        kernels.pack_right_transposed(x.base, x.stride, x.columns, x.rows, panels)
        return Panels(base: panels, stride: kernels.panelStride(depth: x.columns))
    }

    /// Packs rows of D as the right operand (rows, D).
    func packRows(_ x: Operand, into panels: UnsafeMutableRawPointer) -> Panels {
        kernels.pack_right(x.base, x.stride, x.rows, x.columns, panels, nil)
        return Panels(base: panels, stride: kernels.panelStride(depth: x.rows))
    }

    /// Computes `c` (rows, columns) = `a` (rows, depth) times the first `depth` rows of a packed
    /// operand.
    func multiply(_ a: Operand, by panels: Panels, into c: Matrix) {
        var block = lockstep_block(
            rows: a.rows, columns: c.columns, depth: a.columns, a: a.base,
            a_panel_stride: Int(kernels.tile_rows) * a.stride, a_row_stride: a.stride,
            a_depth_stride: 1, b: panels.base, b_panel_stride: panels.stride, c: c.base,
            c_stride: c.stride, accumulates: false, prefetch: noPrefetch)
        kernels.multiply_rows(&block)
    }

    /// Computes the transpose of a block's scores (rows, keys) times packed rows (rows, D), and
    /// stores it in `c` (keys, D) or adds it if `adds`. In bf16 the scores are `packed` first.
    func addOuterProduct(
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
    func rounded(_ scores: Matrix) -> Operand {
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
}
