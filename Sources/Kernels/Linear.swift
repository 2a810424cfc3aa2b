import Tensors

/// The weight and bias of a linear layer y = x W + b, or their gradients; it owns nothing.
///
/// x is (rows, inputs), W is (inputs, outputs) as in GPT-2's checkpoints, b is (outputs).
package struct Linear: Sendable {
    package let weight: Matrix
    package let bias: Vector?

    package init(weight: Matrix, bias: Vector?) {
        self.weight = weight
        self.bias = bias
    }

    /// `output` (rows, outputs) = `input` (rows, inputs) W + b.
    package func forward(_ input: Matrix, into output: Matrix, engine: ComputeEngine) {
        guard let bias else {
            return engine.multiply(input, weight, into: output)
        }
        engine.multiply(input, weight, into: output) { rows, columns in
            forEachVector(rows, columns) { row, start, width in
                let y = output.row(row)
                y.store(
                    y.load(start, width: width) + bias.base.load(start, width: width), start,
                    width: width)
            }
        }
    }

    /// `output` = `residual` + `input` W + b, all (rows, outputs): the end of a residual branch.
    package func forward(
        _ input: Matrix, addedTo residual: Matrix, into output: Matrix, engine: ComputeEngine
    ) {
        engine.multiply(input, weight, into: output) { rows, columns in
            forEachVector(rows, columns) { row, start, width in
                let y = output.row(row)
                var branch = y.load(start, width: width)
                if let bias { branch += bias.base.load(start, width: width) }
                y.store(residual.row(row).load(start, width: width) + branch, start, width: width)
            }
        }
    }

    /// `output` = GELU(`input` W + b), and `slope` = GELU' there if backward needs it, both (rows,
    /// outputs).
    package func forward(
        _ input: Matrix, throughGELUInto output: Matrix, slope: Matrix?, engine: ComputeEngine
    ) {
        engine.multiply(input, weight, into: output) { rows, columns in
            forEachVector(rows, columns) { row, start, width in
                let y = output.row(row)
                var x = y.load(start, width: width)
                if let bias { x += bias.base.load(start, width: width) }
                let (value, derivative) = geluAndSlope(x)
                y.store(value, start, width: width)
                if let slope { slope.row(row).store(derivative, start, width: width) }
            }
        }
    }

    /// `inputGradient` (rows, inputs) = `outputGradient` (rows, outputs) times W transposed.
    package func backwardInput(
        _ outputGradient: Matrix, into inputGradient: Matrix, engine: ComputeEngine
    ) {
        engine.multiply(outputGradient, weight, .transposed, into: inputGradient)
    }

    /// The same times `slope` (rows, inputs): the gradient of what GELU made the input from.
    package func backwardInput(
        _ outputGradient: Matrix, throughSlope slope: Matrix, into hiddenGradient: Matrix,
        engine: ComputeEngine
    ) {
        engine.multiply(outputGradient, weight, .transposed, into: hiddenGradient) {
            rows, columns in
            forEachVector(rows, columns) { row, start, width in
                let dx = hiddenGradient.row(row)
                dx.store(
                    dx.load(start, width: width) * slope.row(row).load(start, width: width),
                    start, width: width)
            }
        }
    }

    /// The gradients of weight and bias, this layer's own, written or, if they `accumulate`, added
    /// to what is there.
    package func backwardParameters(
        _ outputGradient: Matrix, input: Matrix, accumulates: Bool, engine: ComputeEngine
    ) {
        engine.multiplyTransposed(input, outputGradient, into: weight, accumulates: accumulates)
        if let bias {
            sumRows(outputGradient, into: bias, accumulates: accumulates, engine: engine)
        }
    }
}

/// Calls `body` with the row, start and width of each vector of some rows and columns.
@inline(__always)
private func forEachVector(
    _ rows: Range<Int>, _ columns: Range<Int>,
    _ body: (_ row: Int, _ start: Int, _ width: Int) -> Void
) {
    for row in rows {
        forEachVector(columns.count) { start, width in
            body(row, columns.lowerBound + start, width)
        }
    }
}

/// `sums[j]` = the sum over rows of `matrix[i][j]`, rows in order; added to `sums` if `accumulates`.
package func sumRows(
    _ matrix: Matrix, into sums: Vector, accumulates: Bool, engine: ComputeEngine
) {
    precondition(matrix.columns == sums.count)
    // A tile is a run of columns, so no sum is ever split.
    let width = 64
    engine.team.forEach((matrix.columns + width - 1) / width) { tile, _ in
        let start = tile * width
        let end = min(matrix.columns, start + width)
        var column = start
        while column + 32 <= end {
            var s0 = Floats.zero
            var s1 = Floats.zero
            var s2 = Floats.zero
            var s3 = Floats.zero
            for i in 0..<matrix.rows {
                let row = matrix.row(i)
                s0 += row.load8(column)
                s1 += row.load8(column + 8)
                s2 += row.load8(column + 16)
                s3 += row.load8(column + 24)
            }
            if accumulates {
                s0 = sums.base.load8(column) + s0
                s1 = sums.base.load8(column + 8) + s1
                s2 = sums.base.load8(column + 16) + s2
                s3 = sums.base.load8(column + 24) + s3
            }
            sums.base.store8(s0, column)
            sums.base.store8(s1, column + 8)
            sums.base.store8(s2, column + 16)
            sums.base.store8(s3, column + 24)
            column += 32
        }
        while column < end {
            let count = min(8, end - column)
            var s = Floats.zero
            for i in 0..<matrix.rows { s += matrix.row(i).load(column, count: count) }
            if accumulates { s = sums.base.load(column, count: count) + s }
            sums.base.store(s, column, count: count)
            column += count
        }
    }
}
