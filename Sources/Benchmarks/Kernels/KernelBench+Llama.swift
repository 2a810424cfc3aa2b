import Compute

// The cases of LLaMA's block that differ from those of GPT-2: norms, rotary positions, and the
// linear layers, whose weights are stored transposed.

extension KernelBench {
    func rmsNormCases() -> [KernelCase] {
        let engine = self.engine
        let c = size.width
        let (x, y, dx) = (matrix(rows, c), operand(rows, c), matrix(rows, c))
        let (dy, weight, weightGradient) = (matrix(rows, c), vector(c), vector(c))
        let rstd = vector(rows)
        let backward = RMSNormBackward(rows: rows, columns: c, engine: engine)
        let shape = "\(rows) x \(c)"
        return [
            .pass("RMS norm, forward", shape: shape, arrays: 2, of: rows * c) {
                rmsNormForward(
                    x, weight: weight, epsilon: 1e-5, into: y, rstd: rstd, engine: engine)
            },
            .pass("RMS norm, backward", shape: shape, arrays: 4, of: rows * c) {
                backward.run(
                    dy, input: x, weight: weight, rstd: rstd, addingTo: dx,
                    weightGradient: weightGradient, accumulates: false)
            },
        ]
    }

    func rotaryCases() -> [KernelCase] {
        let model = size.recipe(ranks: 1, steps: 1, precision: precision).model
        let turned = (model.heads + model.kvHeadCount) * model.headWidth
        let qkv = operand(rows, turned + model.kvHeadCount * model.headWidth)
        let rotary = RotaryEmbedding(
            length: size.sequenceLength, frequencies: model.rotaryFrequencies, engine: engine)
        let bytes = Double(2 * rows * turned * precision.bytes)
        return [
            KernelCase(
                name: "rotary positions", shape: "\(rows) x \(turned)", flops: 0, bytes: bytes
            ) { rotary.turn(qkv, columns: turned, .forward) }
        ]
    }

    /// Returns the cases of a block's linear layers, each forward and backward.
    func transposedLinearCases() -> [KernelCase] {
        let (c, model) = (
            size.width, size.recipe(ranks: 1, steps: 1, precision: precision).model
        )
        let shared = model.kvHeadCount * model.headWidth
        return linearCases("qkv", inputs: c, outputs: c + 2 * shared)
            + linearCases("attention projection", inputs: c, outputs: c, addsResidual: true)
            + gatedCases(inputs: c, hidden: model.mlpWidth)
            + linearCases(
                "MLP down", inputs: model.mlpWidth, outputs: c, addsResidual: true)
    }

    private func linearCases(
        _ name: String, inputs: Int, outputs: Int, addsResidual: Bool = false
    ) -> [KernelCase] {
        let engine = self.engine
        let layer = Linear(weight: operand(outputs, inputs), bias: nil, storage: .transposed)
        let (x, y) = (operand(rows, inputs), operand(rows, outputs))
        let (residual, sum) = (matrix(rows, outputs), matrix(rows, outputs))
        return [
            .product(
                "\(name), forward", rows: rows, columns: outputs, depth: inputs, precision
            ) {
                if addsResidual {
                    layer.forward(x, addedTo: residual, into: sum, engine: engine)
                } else {
                    layer.forward(x, into: y, engine: engine)
                }
            }
        ] + backwardCases(name, layer, inputs: inputs, outputs: outputs)
    }

    private func gatedCases(inputs: Int, hidden: Int) -> [KernelCase] {
        let engine = self.engine
        let gate = Linear(weight: operand(hidden, inputs), bias: nil, storage: .transposed)
        let down = Linear(weight: operand(inputs, hidden), bias: nil, storage: .transposed)
        let both = Linear(weight: operand(2 * hidden, inputs), bias: nil, storage: .transposed)
        let (x, dy) = (operand(rows, inputs), operand(rows, inputs))
        let values = GatedValues(
            activated: operand(rows, hidden), factors: operand(rows, 2 * hidden))
        return [
            .product(
                "MLP gate and SwiGLU, forward", rows: rows, columns: hidden, depth: inputs,
                precision
            ) { gate.forward(x, gating: values, engine: engine) },
            .product(
                "SwiGLU, input's gradient", rows: rows, columns: hidden, depth: inputs, precision
            ) { down.backwardInput(dy, throughGateOf: values, engine: engine) },
        ] + backwardCases("MLP gate and up", both, inputs: inputs, outputs: 2 * hidden)
    }

    private func backwardCases(
        _ name: String, _ layer: Linear, inputs: Int, outputs: Int
    ) -> [KernelCase] {
        let engine = self.engine
        let (x, dx, dy) = (operand(rows, inputs), operand(rows, inputs), operand(rows, outputs))
        let dw = matrix(outputs, inputs)
        return [
            .product(
                "\(name), input's gradient", rows: rows, columns: inputs, depth: outputs, precision
            ) { layer.backwardInput(dy, into: dx, engine: engine) },
            .product(
                "\(name), weight's gradient", rows: outputs, columns: inputs, depth: rows, precision
            ) {
                layer.backwardWeight(
                    dy, input: x, into: dw, biasGradient: nil, accumulates: false, engine: engine)
            },
        ]
    }
}
