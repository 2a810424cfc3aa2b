/// A linear layer y = x W + b; it owns no memory.
///
/// x is (rows, inputs), W is (inputs, outputs), b is (outputs). W is stored as it is in GPT-2's
/// checkpoints, or transposed, (outputs, inputs), as in LLaMA's. The operands of a product have W's
/// precision; the bias and all matrices that are not operands are fp32.
package struct Linear: Sendable {
    package let weight: Operand
    package let bias: Vector?
    package let storage: Storage

    package init(weight: Operand, bias: Vector?, storage: Storage = .direct) {
        self.weight = weight
        self.bias = bias
        self.storage = storage
    }

    /// Computes `output` (rows, outputs) = `input` (rows, inputs) W + b.
    package func forward(
        _ input: Operand, into output: Operand, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        guard let bias else {
            return engine.multiplyRounding(
                input, weight, storage, into: output, betweenTiles: betweenTiles)
        }
        engine.forEachProductBlock(
            input, weight, storage, touching: (output, nil), betweenTiles: betweenTiles
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
            input, weight, storage, touching: (residual.operand, output.operand),
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
            input, weight, storage, touching: (output, slope), betweenTiles: betweenTiles
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

    /// Computes `weightGradient`, stored as W is, from the input (rows, inputs) and the gradient of
    /// the output (rows, outputs), and b's gradient if there is one, or adds them if it
    /// `accumulates`.
    package func backwardWeight(
        _ outputGradient: Operand, input: Operand, into weightGradient: Matrix,
        biasGradient: Vector?, accumulates: Bool, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        switch storage {
        case .direct:
            engine.multiplyTransposed(
                input, outputGradient, into: weightGradient, columnSums: biasGradient,
                accumulates: accumulates, betweenTiles: betweenTiles)
        case .transposed:
            precondition(biasGradient == nil, "transposed layers have no biases")
            engine.multiplyTransposed(
                outputGradient, input, into: weightGradient, accumulates: accumulates,
                betweenTiles: betweenTiles)
        }
    }

    /// Computes `inputGradient` (rows, inputs) = `outputGradient` (rows, outputs) times W
    /// transposed.
    package func backwardInput(
        _ outputGradient: Operand, into inputGradient: Operand, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        engine.multiplyRounding(
            outputGradient, weight, storage.opposite, into: inputGradient,
            betweenTiles: betweenTiles)
    }

    /// Computes the same times `slope` (rows, inputs): the gradient of the values before the GELU.
    package func backwardInput(
        _ outputGradient: Operand, throughSlope slope: Operand, into hiddenGradient: Operand,
        engine: ComputeEngine, betweenTiles: () -> Void = {}
    ) {
        engine.forEachProductBlock(
            outputGradient, weight, storage.opposite, touching: (slope, hiddenGradient),
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
