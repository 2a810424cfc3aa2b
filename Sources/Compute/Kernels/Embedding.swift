/// Computes `output` (B*T, C) = the token's row of `tokenTable` (V, C) + the position's row of
/// `positionTable` (T, C), if there is one.
///
/// - Parameter positions: the position of each row; nil for its place in a sequence.
package func embeddingForward(
    _ tokens: UnsafePointer<Int32>, positions: UnsafePointer<Int32>? = nil, sequenceLength: Int,
    tokenTable: Matrix, positionTable: Matrix?, into output: Matrix, engine: ComputeEngine
) {
    engine.forEach((output.rows + 15) / 16) { tile, _ in
        for row in tile * 16..<min(output.rows, tile * 16 + 16) {
            let token = tokenTable.row(Int(tokens[row]))
            let place = positions.map { Int($0[row]) } ?? row % sequenceLength
            let position = positionTable?.row(place)
            let y = output.row(row)
            forEachVector(output.columns) { start, width in
                var value = token.load(start, width: width)
                if let position { value += position.load(start, width: width) }
                y.store(value, start, width: width)
            }
        }
    }
}

/// Adds the gradient of the output (B*T, C) to the tables' gradients, in the order of the rows.
///
/// The gradients are first set to zero unless they accumulate. The gradient of a table that is tied
/// to the head always accumulates, because it holds the head's share.
package func embeddingBackward(
    _ outputGradient: Matrix, tokens: UnsafePointer<Int32>,
    positions: UnsafePointer<Int32>? = nil, sequenceLength: Int, tokenGradient: Matrix,
    accumulatesTokens: Bool, positionGradient: Matrix?, accumulatesPositions: Bool,
    engine: ComputeEngine
) {
    // A tile is a range of columns: two rows may belong to the same token, but columns are
    // disjoint.
    let width = 64
    engine.forEach((outputGradient.columns + width - 1) / width) { tile, _ in
        let columns = tile * width..<min(outputGradient.columns, (tile + 1) * width)
        let dy = outputGradient.columns(columns)
        let dToken = tokenGradient.columns(columns)
        let dPosition = positionGradient?.columns(columns)
        if !accumulatesTokens { clear(dToken) }
        if let dPosition, !accumulatesPositions { clear(dPosition) }
        for row in 0..<dy.rows {
            addRow(dy.row(row), to: dToken.row(Int(tokens[row])), columns.count)
            if let dPosition {
                let place = positions.map { Int($0[row]) } ?? row % sequenceLength
                addRow(dy.row(row), to: dPosition.row(place), columns.count)
            }
        }
    }
}

private func clear(_ matrix: Matrix) {
    for row in 0..<matrix.rows { matrix.row(row).update(repeating: 0, count: matrix.columns) }
}

@inline(__always)
private func addRow(
    _ x: UnsafeMutablePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
) {
    forEachVector(count) { start, width in
        y.store(y.load(start, width: width) + x.load(start, width: width), start, width: width)
    }
}
