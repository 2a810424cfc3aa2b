/// A linear layer y = x W + b; it owns no memory.
///
/// x is (rows, inputs), W is (inputs, outputs) as in GPT-2's checkpoints, b is (outputs). The
/// operands of a product have W's precision; the bias and all matrices that are not operands are
/// fp32.
package struct Linear: Sendable {
    package let weight: Operand
    package let bias: Vector?

    package init(weight: Operand, bias: Vector?) {
        self.weight = weight
        self.bias = bias
    }

    /// Computes `output` (rows, outputs) = `input` (rows, inputs) W + b.
    package func forward(
        _ input: Operand, into output: Operand, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        guard let bias else {
            return engine.multiplyRounding(
                input, weight, into: output, betweenTiles: betweenTiles)
        }
        engine.forEachProductBlock(
            input, weight, touching: (output, nil), betweenTiles: betweenTiles
        ) { elements, row, column in
            let bias = bias.base + column
            for i in 0..<elements.rows {
                let x = elements.row(i)
                let y = output.row(row + i, from: column)
                forEachVector(elements.columns) { start, width in
                    y.store(
                        x.load(start, width: width) + bias.load(start, width: width), start,
                        width: width)
                }
            }
        }
    }

    /// Computes `output` = `residual` + `input` W + b, all (rows, outputs): the end of a residual
    /// branch.
    package func forward(
        _ input: Operand, addedTo residual: Matrix, into output: Matrix, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        engine.forEachProductBlock(
            input, weight, touching: (residual.operand, output.operand),
            betweenTiles: betweenTiles
        ) { elements, row, column in
            let bias = bias.map { $0.base + column }
            for i in 0..<elements.rows {
                let branch = elements.row(i)
                let x = residual.row(row + i) + column
                let y = output.row(row + i) + column
                forEachVector(elements.columns) { start, width in
                    var value = branch.load(start, width: width)
                    if let bias { value += bias.load(start, width: width) }
                    y.store(x.load(start, width: width) + value, start, width: width)
                }
            }
        }
    }

    /// Computes `output` = GELU(`input` W + b), and `slope` = GELU' at the same point if backward
    /// needs it, both (rows, outputs).
    package func forward(
        _ input: Operand, throughGELUInto output: Operand, slope: Operand?,
        engine: ComputeEngine, betweenTiles: () -> Void = {}
    ) {
        engine.forEachProductBlock(
            input, weight, touching: (output, slope), betweenTiles: betweenTiles
        ) { elements, row, column in
            let bias = bias.map { $0.base + column }
            for i in 0..<elements.rows {
                let x = elements.row(i)
                let y = output.row(row + i, from: column)
                let dy = slope?.row(row + i, from: column)
                forEachVector(elements.columns) { start, width in
                    var sum = x.load(start, width: width)
                    if let bias { sum += bias.load(start, width: width) }
                    let (value, derivative) = geluAndSlope(sum)
                    y.store(value, start, width: width)
                    if let dy { dy.store(derivative, start, width: width) }
                }
            }
        }
    }

    /// Computes `inputGradient` (rows, inputs) = `outputGradient` (rows, outputs) times W
    /// transposed.
    package func backwardInput(
        _ outputGradient: Operand, into inputGradient: Operand, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        engine.multiplyRounding(
            outputGradient, weight, .transposed, into: inputGradient, betweenTiles: betweenTiles)
    }

    /// Computes the same times `slope` (rows, inputs): the gradient of the values before the GELU.
    package func backwardInput(
        _ outputGradient: Operand, throughSlope slope: Operand, into hiddenGradient: Operand,
        engine: ComputeEngine, betweenTiles: () -> Void = {}
    ) {
        engine.forEachProductBlock(
            outputGradient, weight, .transposed, touching: (slope, hiddenGradient),
            betweenTiles: betweenTiles
        ) { elements, row, column in
            for i in 0..<elements.rows {
                let dy = elements.row(i)
                let slope = slope.row(row + i, from: column)
                let dx = hiddenGradient.row(row + i, from: column)
                forEachVector(elements.columns) { start, width in
                    dx.store(
                        dy.load(start, width: width) * slope.load(start, width: width), start,
                        width: width)
                }
            }
        }
    }
}
