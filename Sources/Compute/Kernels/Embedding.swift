/// `output` (B*T, C) = the token's row of `tokenTable` (V, C) + the position's of `positionTable`
/// (T, C).
package func embeddingForward(
    _ tokens: UnsafePointer<Int32>, sequenceLength: Int, tokenTable: Matrix, positionTable: Matrix,
    into output: Matrix, engine: ComputeEngine
) {
    engine.team.forEach((output.rows + 15) / 16) { tile, _ in
        for row in tile * 16..<min(output.rows, tile * 16 + 16) {
            let token = tokenTable.row(Int(tokens[row]))
            let position = positionTable.row(row % sequenceLength)
            let y = output.row(row)
            forEachVector(output.columns) { start, width in
                let value =
                    token.load(start, width: width) + position.load(start, width: width)
                y.store(value, start, width: width)
            }
        }
    }
}

/// Adds the gradient of the output (B*T, C) to the tables' gradients, rows in order.
///
/// `tokenGradient` already holds the tied head's share. `positionGradient` is set to zero first
/// unless `accumulates`.
package func embeddingBackward(
    _ outputGradient: Matrix, tokens: UnsafePointer<Int32>, sequenceLength: Int,
    addingTo tokenGradient: Matrix, positionGradient: Matrix, accumulates: Bool,
    engine: ComputeEngine
) {
    // A tile is a run of columns: two rows may be of the same token, two columns never meet.
    let width = 64
    engine.team.forEach((outputGradient.columns + width - 1) / width) { tile, _ in
        let columns = tile * width..<min(outputGradient.columns, (tile + 1) * width)
        let dy = outputGradient.columns(columns)
        let dToken = tokenGradient.columns(columns)
        let dPosition = positionGradient.columns(columns)
        if !accumulates {
            for row in 0..<dPosition.rows {
                dPosition.row(row).update(repeating: 0, count: columns.count)
            }
        }
        for row in 0..<dy.rows {
            addRow(dy.row(row), to: dToken.row(Int(tokens[row])), columns.count)
            addRow(dy.row(row), to: dPosition.row(row % sequenceLength), columns.count)
        }
    }
}

@inline(__always)
private func addRow(
    _ x: UnsafeMutablePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
) {
    forEachVector(count) { start, width in
        y.store(y.load(start, width: width) + x.load(start, width: width), start, width: width)
    }
}
