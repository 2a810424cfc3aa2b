import Compute
import Optimizers
import Recipes

// The cases of the kernels that memory limits; each kernel reads and writes its arrays once.

extension KernelBench {
    func embeddingCases() -> [KernelCase] {
        let engine = self.engine
        let (c, t) = (size.width, size.sequenceLength)
        let (tokenTable, positionTable) = (matrix(size.vocabulary, c), matrix(t, c))
        let output = matrix(rows, c)
        let tokens = tokens()
        let shape = "\(rows) x \(c)"
        return [
            .pass("embedding, forward", shape: shape, arrays: 3, of: rows * c) {
                embeddingForward(
                    tokens, sequenceLength: t, tokenTable: tokenTable,
                    positionTable: positionTable, into: output, engine: engine)
            },
            .pass("embedding, backward", shape: shape, arrays: 5, of: rows * c) {
                embeddingBackward(
                    output, tokens: tokens, sequenceLength: t, tokenGradient: tokenTable,
                    accumulatesTokens: true, positionGradient: positionTable,
                    accumulatesPositions: true, engine: engine)
            },
        ]
    }

    func normCases() -> [KernelCase] {
        let engine = self.engine
        let c = size.width
        let (x, y, dx) = (matrix(rows, c), operand(rows, c), matrix(rows, c))
        let dy = matrix(rows, c)
        let (weight, bias) = (vector(c), vector(c))
        let (weightGradient, biasGradient) = (vector(c), vector(c))
        let (mean, rstd) = (vector(rows), vector(rows))
        let backward = LayerNormBackward(rows: rows, columns: c, engine: engine)
        let shape = "\(rows) x \(c)"
        return [
            .pass("layer norm, forward", shape: shape, arrays: 2, of: rows * c) {
                layerNormForward(
                    x, weight: weight, bias: bias, into: y, mean: mean, rstd: rstd, engine: engine)
            },
            .pass("layer norm, backward", shape: shape, arrays: 4, of: rows * c) {
                backward.run(
                    dy, input: x, weight: weight, mean: mean, rstd: rstd, addingTo: dx,
                    weightGradient: weightGradient, biasGradient: biasGradient,
                    accumulates: false)
            },
        ]
    }

    func elementwiseCases() -> [KernelCase] {
        let engine = self.engine
        let c = 4 * size.width
        let (x, y, slope) = (matrix(rows, c), matrix(rows, c), matrix(rows, c))
        let shape = "\(rows) x \(c)"
        return [
            .pass("GELU and its slope, alone", shape: shape, arrays: 3, of: rows * c) {
                geluForward(x, into: y, slope: slope, engine: engine)
            }
        ]
    }

    /// Returns the cases of AdamW and of the sum of squares of its gradients.
    func optimizerCases() -> [KernelCase] {
        let engine = self.engine
        // Beyond the size of the caches, more parameters do not change the speed.
        let tokens = size.vocabulary + size.positions
        let parameterCount = (tokens + 12 * size.layers * size.width) * size.width
        let count = min(16 << 20, parameterCount / 16 * 16)
        var layout = ArenaLayout()
        layout.append("weight", shape: [count / 16, 16])
        var optimizer = Optimizer(
            configuration: OptimizerConfiguration(name: .adamw), layout: layout)
        let (parameters, gradients) = (buffer(count), buffer(count))
        optimizer.beginStep(parameters: parameters, gradients: gradients, team: engine.team)
        let rule = optimizer
        let sums = Buffer<Double>(count: SumOfSquares.blockCount(count))
        let shape = "\(count)"
        return [
            .pass("sum of squares", shape: shape, arrays: 1, of: count) {
                engine.team.forEach(sums.count) { block, _ in
                    SumOfSquares.blocks(block..<block + 1, of: gradients, into: sums)
                }
            },
            .pass("AdamW", shape: shape, arrays: 7, of: count) {
                engine.team.forEach(sums.count) { block, _ in
                    rule.update(
                        parameters: parameters, gradients: gradients, learningRate: 3e-4,
                        range: SumOfSquares.range(ofBlock: block, count: count))
                }
            },
        ]
    }
}
