import Compute

// The cases of a step's matrix products: the linear layers of a block, the tied head, and
// attention.

extension KernelBench {
    /// Returns the cases of a block's four linear layers, each forward and backward.
    func linearCases() -> [KernelCase] {
        let c = size.width
        let layers: [(name: String, inputs: Int, outputs: Int)] = [
            ("qkv", c, 3 * c), ("attention projection", c, c), ("MLP up", c, 4 * c),
            ("MLP down", 4 * c, c),
        ]
        return layers.flatMap { name, inputs, outputs in
            linearCases(name, inputs: inputs, outputs: outputs)
        }
    }

    private func linearCases(_ name: String, inputs: Int, outputs: Int) -> [KernelCase] {
        let engine = self.engine
        let layer = Linear(weight: operand(inputs, outputs), bias: vector(outputs))
        let (dw, db) = (matrix(inputs, outputs), vector(outputs))
        let x = operand(rows, inputs)
        let forward: () -> Void
        switch name {
        case "MLP up":
            let (y, slope) = (operand(rows, outputs), operand(rows, outputs))
            forward = {
                layer.forward(x, throughGELUInto: y, slope: slope, engine: engine)
            }
        case "qkv":
            let y = operand(rows, outputs)
            forward = { layer.forward(x, into: y, engine: engine) }
        default:
            let (residual, y) = (matrix(rows, outputs), matrix(rows, outputs))
            forward = { layer.forward(x, addedTo: residual, into: y, engine: engine) }
        }
        let (dx, dy) = (operand(rows, inputs), operand(rows, outputs))
        let title = name == "MLP up" ? "MLP up and GELU" : name
        return [
            .product(
                "\(title), forward", rows: rows, columns: outputs, depth: inputs, precision,
                run: forward),
            .product(
                "\(name), input's gradient", rows: rows, columns: inputs, depth: outputs, precision
            ) {
                layer.backwardInput(dy, into: dx, engine: engine)
            },
            .product(
                "\(name), weight's gradient", rows: inputs, columns: outputs, depth: rows, precision
            ) {
                engine.multiplyTransposed(x, dy, into: dw, columnSums: db)
            },
        ]
    }

    /// Returns the cases of the head, for the rows that a step computes at once: logits,
    /// cross-entropy and gradients.
    func headCases() -> [KernelCase] {
        let engine = self.engine
        let c = size.width
        let model = size.recipe(ranks: 1, steps: 1, precision: precision).model
        let v = model.paddedVocabularySize
        let n = model.logitRows(of: rows)
        let (x, dx) = (operand(n, c), matrix(n, c))
        let (table, tableGradient) = (operand(v, c), matrix(v, c))
        let (logits, logitGradient) = (matrix(n, v), operand(n, v))
        let (targets, losses) = (tokens(), losses())
        let vocabulary = size.vocabulary
        return [
            .product("head, logits", rows: n, columns: v, depth: c, precision) {
                engine.multiply(x, table, .transposed, into: logits)
            },
            .pass("cross-entropy and its gradient", shape: "\(n) x \(v)", arrays: 2, of: n * v) {
                crossEntropy(
                    logits, targets: targets, vocabularySize: vocabulary, losses: losses,
                    gradient: logitGradient, gradientScale: 1 / Float(n), engine: engine)
            },
            .product("head, input's gradient", rows: n, columns: c, depth: v, precision) {
                engine.multiply(logitGradient, table, into: dx)
            },
            .product("head, table's gradient", rows: v, columns: c, depth: n, precision) {
                engine.multiplyTransposed(logitGradient, x, into: tableGradient)
            },
        ]
    }

    /// Returns the cases of causal attention over all heads. Operations are counted on and below
    /// the diagonal.
    func attentionCases() -> [KernelCase] {
        let (b, t, h) = (size.sequencesPerRank, size.sequenceLength, size.heads)
        let d = size.width / h
        let attention = Attention(
            batch: b, length: t, heads: h, headWidth: d, precision: precision, engine: engine)
        let qkv = operand(rows, 3 * size.width)
        let (output, logSumExp) = (operand(rows, size.width), vector(rows * h))
        let dy = operand(rows, size.width)
        let dqkv = operand(rows, 3 * size.width)
        let shape = "\(b) x \(t), \(h) x \(d)"
        // Two products forward, five backward, each of T (T + 1) / 2 scores and D columns.
        let product = 2 * Double(b * h * d) * Double(t * (t + 1) / 2)
        let activations = Double(precision.bytes * rows * size.width)
        return [
            KernelCase(
                name: "attention, forward", shape: shape, flops: 2 * product,
                bytes: 4 * activations
            ) { attention.forward(qkv, into: output, logSumExp: logSumExp, dropout: nil) },
            KernelCase(
                name: "attention, backward", shape: shape, flops: 5 * product,
                bytes: 8 * activations
            ) {
                attention.backward(
                    dy, qkv: qkv, output: output, logSumExp: logSumExp, into: dqkv, dropout: nil)
            },
        ]
    }
}
