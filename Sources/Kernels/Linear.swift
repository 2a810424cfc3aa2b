import Tensors

/// A planned linear layer y = x W + b on a fixed number of rows.
///
/// x is (rows, inputs), W is (inputs, outputs) as in GPT-2's checkpoints, b is (outputs).
package final class Linear {
    package let rows: Int
    package let inputs: Int
    package let outputs: Int
    private let engine: ComputeEngine
    private let product: MatrixProduct
    private let productWithoutBias: MatrixProduct
    private let inputProduct: MatrixProduct
    private let weightProduct: MatrixProduct
    private let accumulatingWeightProduct: MatrixProduct

    package init(rows: Int, inputs: Int, outputs: Int, engine: ComputeEngine) {
        self.rows = rows
        self.inputs = inputs
        self.outputs = outputs
        self.engine = engine
        product = MatrixProduct(
            .init(rows: rows, columns: outputs, inner: inputs, hasBias: true), engine: engine)
        productWithoutBias = MatrixProduct(
            .init(rows: rows, columns: outputs, inner: inputs), engine: engine)
        inputProduct = MatrixProduct(
            .init(rows: rows, columns: inputs, inner: outputs, transposesB: true), engine: engine)
        var weight = MatrixProduct.Shape(
            rows: inputs, columns: outputs, inner: rows, transposesA: true)
        weightProduct = MatrixProduct(weight, engine: engine)
        weight.accumulates = true
        accumulatingWeightProduct = MatrixProduct(weight, engine: engine)
    }

    /// `output` (rows, outputs) = `input` (rows, inputs) times `weight` (inputs, outputs) + `bias`.
    package func forward(_ input: Matrix, weight: Matrix, bias: Vector?, into output: Matrix) {
        check(input, output)
        if let bias {
            product.run(input.base, weight.base, into: output.base, bias: bias.base)
        } else {
            productWithoutBias.run(input.base, weight.base, into: output.base)
        }
    }

    /// `inputGradient` (rows, inputs) = `outputGradient` (rows, outputs) times the weight transposed.
    package func backwardInput(
        _ outputGradient: Matrix, weight: Matrix, into inputGradient: Matrix
    ) {
        check(inputGradient, outputGradient)
        inputProduct.run(outputGradient.base, weight.base, into: inputGradient.base)
    }

    /// The gradients of weight and bias, written or, if `accumulates`, added to what is there.
    package func backwardParameters(
        _ outputGradient: Matrix, input: Matrix, weightGradient: Matrix, biasGradient: Vector?,
        accumulates: Bool
    ) {
        check(input, outputGradient)
        let product = accumulates ? accumulatingWeightProduct : weightProduct
        product.run(input.base, outputGradient.base, into: weightGradient.base)
        if let biasGradient {
            sumRows(outputGradient, into: biasGradient, accumulates: accumulates, engine: engine)
        }
    }

    private func check(_ input: Matrix, _ output: Matrix) {
        precondition(input.rows == rows && input.columns == inputs && input.stride == inputs)
        precondition(output.rows == rows && output.columns == outputs && output.stride == outputs)
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
            for (lane, value) in [s0, s1, s2, s3].enumerated() {
                let place = column + 8 * lane
                sums.base.store8(accumulates ? sums.base.load8(place) + value : value, place)
            }
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
