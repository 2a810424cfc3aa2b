import Tensors

/// A linear layer y = x W + b; it owns nothing.
///
/// x is (rows, inputs), W is (inputs, outputs) as in GPT-2's checkpoints, b is (outputs). What enters
/// a product is of W's precision; the bias and what is no operand is fp32.
package struct Linear: Sendable {
    package let weight: Operand
    package let bias: Vector?

    package init(weight: Operand, bias: Vector?) {
        self.weight = weight
        self.bias = bias
    }

    /// `output` (rows, outputs) = `input` (rows, inputs) W + b.
    package func forward(_ input: Operand, into output: Operand, engine: ComputeEngine) {
        guard let bias else { return engine.multiply(input, weight, into: output) }
        engine.multiply(input, weight) { elements, row, column in
            forEachVector(of: elements) { i, start, width in
                let y =
                    elements.row(i).load(start, width: width)
                    + bias.base.load(column + start, width: width)
                output.store(y, row + i, column + start, width: width)
            }
        }
    }

    /// `output` = `residual` + `input` W + b, all (rows, outputs): the end of a residual branch.
    package func forward(
        _ input: Operand, addedTo residual: Matrix, into output: Matrix, engine: ComputeEngine
    ) {
        engine.multiply(input, weight) { elements, row, column in
            forEachVector(of: elements) { i, start, width in
                var branch = elements.row(i).load(start, width: width)
                if let bias { branch += bias.base.load(column + start, width: width) }
                let x = residual.row(row + i).load(column + start, width: width)
                output.row(row + i).store(x + branch, column + start, width: width)
            }
        }
    }

    /// `output` = GELU(`input` W + b), and `slope` = GELU' there if backward needs it, both (rows,
    /// outputs).
    package func forward(
        _ input: Operand, throughGELUInto output: Operand, slope: Operand?, engine: ComputeEngine
    ) {
        engine.multiply(input, weight) { elements, row, column in
            forEachVector(of: elements) { i, start, width in
                var x = elements.row(i).load(start, width: width)
                if let bias { x += bias.base.load(column + start, width: width) }
                let (value, derivative) = geluAndSlope(x)
                output.store(value, row + i, column + start, width: width)
                if let slope { slope.store(derivative, row + i, column + start, width: width) }
            }
        }
    }

    /// `inputGradient` (rows, inputs) = `outputGradient` (rows, outputs) times W transposed.
    package func backwardInput(
        _ outputGradient: Operand, into inputGradient: Operand, engine: ComputeEngine
    ) {
        engine.multiply(outputGradient, weight, .transposed, into: inputGradient)
    }

    /// The same times `slope` (rows, inputs): the gradient of what GELU made the input from.
    package func backwardInput(
        _ outputGradient: Operand, throughSlope slope: Operand, into hiddenGradient: Operand,
        engine: ComputeEngine
    ) {
        engine.multiply(outputGradient, weight, .transposed) { elements, row, column in
            forEachVector(of: elements) { i, start, width in
                let dx =
                    elements.row(i).load(start, width: width)
                    * slope.load(row + i, column + start, width: width)
                hiddenGradient.store(dx, row + i, column + start, width: width)
            }
        }
    }
}

/// The gradients of a linear layer's weight (inputs, outputs) and bias (outputs); it owns nothing.
package struct LinearGradient: Sendable {
    package let weight: Matrix
    package let bias: Vector?

    package init(weight: Matrix, bias: Vector?) {
        self.weight = weight
        self.bias = bias
    }

    /// Writes the gradients or, if they `accumulate`, adds them to what is there.
    ///
    /// `outputGradient` is (rows, outputs), `input` what forward was given, (rows, inputs).
    package func backward(
        _ outputGradient: Operand, input: Operand, accumulates: Bool, engine: ComputeEngine
    ) {
        engine.multiplyTransposed(input, outputGradient, into: weight, accumulates: accumulates)
        if let bias {
            sumRows(outputGradient, into: bias, accumulates: accumulates, engine: engine)
        }
    }
}

/// `sums[j]` = the sum over rows of `matrix[i][j]`, rows in order; added to `sums` if `accumulates`.
package func sumRows(
    _ matrix: Operand, into sums: Vector, accumulates: Bool, engine: ComputeEngine
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
                s0 += matrix.load(i, column, width: 8)
                s1 += matrix.load(i, column + 8, width: 8)
                s2 += matrix.load(i, column + 16, width: 8)
                s3 += matrix.load(i, column + 24, width: 8)
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
            for i in 0..<matrix.rows { s += matrix.load(i, column, width: count) }
            if accumulates { s = sums.base.load(column, width: count) + s }
            sums.base.store(s, column, width: count)
            column += count
        }
    }
}
