import Compute
import Testing

/// Compares each kernel with double precision on 1 and 3 threads: the forward pass with the
/// reference, and the backward pass with the reference's finite differences.
@Suite struct GradientTests {
    /// Odd and even shapes, below and above a vector's eight lanes and a tile's rows.
    static let shapes = [(1, 1), (3, 7), (5, 8), (33, 19), (40, 32)]

    @Test("the gradient of GELU is correct", arguments: shapes, [1, 3])
    func gelu(shape: (Int, Int), threads: Int) {
        let engine = ComputeEngine(threads: threads)
        let x = numbers(shape.0 * shape.1, seed: 1, scale: 4)
        let input = buffer(x)
        let (output, slope) = (Buffer<Float>(count: x.count), Buffer<Float>(count: x.count))
        geluForward(
            matrix(input, columns: shape.1), into: matrix(output, columns: shape.1),
            slope: matrix(slope, columns: shape.1), engine: engine)
        #expect(relativeError(output.doubles, referenceGELU(x)) < 3e-7)
        let expected = finiteDifferences(x) { referenceGELU($0).reduce(0, +) }
        #expect(relativeError(slope.doubles, expected) < 1e-6)
    }

    @Test("GELU is correct for extreme inputs")
    func geluAtTheEdges() {
        let x: [Double] = [-1e30, -100, -10, 0, 10, 100, 1e30]
        let input = buffer(x)
        geluForward(
            matrix(input, columns: 7), into: matrix(input, columns: 7), engine: ComputeEngine())
        #expect(input.doubles[3...].elementsEqual([0, 10, 100, Double(Float(1e30))]))
        #expect(input.doubles[0...2].allSatisfy { abs($0) < 1e-7 })
    }

    @Test(
        "the gradient of layer normalization is correct",
        arguments: [(1, 5), (3, 8), (40, 19), (300, 24)], [1, 3])
    func layerNorm(shape: (Int, Int), threads: Int) {
        let (n, c) = shape
        let engine = ComputeEngine(threads: threads)
        let x = numbers(n * c, seed: 1, scale: 3)
        let weight = numbers(c, seed: 2)
        let bias = numbers(c, seed: 3)
        let dy = numbers(n * c, seed: 4)
        let carried = numbers(n * c, seed: 5)
        let (input, w, b, dOutput) = (buffer(x), buffer(weight), buffer(bias), buffer(dy))
        let output = Buffer<Float>(count: n * c)
        let (mean, rstd) = (Buffer<Float>(count: n), Buffer<Float>(count: n))
        layerNormForward(
            matrix(input, columns: c), weight: w.vector, bias: b.vector,
            into: matrix(output, columns: c).operand, mean: mean.vector, rstd: rstd.vector,
            engine: engine)
        let reference = referenceLayerNorm(x, weight: weight, bias: bias, columns: c)
        #expect(relativeError(output.doubles, reference) < 1e-6)

        let dx = buffer(carried)
        let dw = buffer(weight)
        let db = buffer(bias)
        let rounded = Stored(rows: n, columns: c, .bf16)
        LayerNormBackward(rows: n, columns: c, engine: engine).run(
            matrix(dOutput, columns: c), input: matrix(input, columns: c), weight: w.vector,
            mean: mean.vector, rstd: rstd.vector, addingTo: matrix(dx, columns: c),
            rounded: rounded.operand, weightGradient: dw.vector, biasGradient: db.vector,
            accumulates: true)
        #expect(rounded.floats == Stored(dx.doubles, columns: c, .bf16).floats)
        guard n <= 40 else {
            // There would be too many differences; the parameters' gradients are linear in dy.
            let ones = [Double](repeating: 1, count: c)
            let zeros = [Double](repeating: 0, count: c)
            let normalized = referenceLayerNorm(x, weight: ones, bias: zeros, columns: c)
            let expected = (0..<c).map { j in
                weight[j] + (0..<n).reduce(0) { $0 + normalized[$1 * c + j] * dy[$1 * c + j] }
            }
            #expect(relativeError(dw.doubles, expected) < 1e-5)
            return
        }
        let loss = { (x: [Double], w: [Double], b: [Double]) in
            dot(referenceLayerNorm(x, weight: w, bias: b, columns: c), dy)
        }
        let slope = finiteDifferences(x) { loss($0, weight, bias) }
        #expect(relativeError(dx.doubles, zip(carried, slope).map(+)) < 2e-6)
        let weightSlope = finiteDifferences(weight) { loss(x, $0, bias) }
        #expect(relativeError(dw.doubles, zip(weight, weightSlope).map(+)) < 2e-6)
        let biasSlope = finiteDifferences(bias) { loss(x, weight, $0) }
        #expect(relativeError(db.doubles, zip(bias, biasSlope).map(+)) < 2e-6)
    }

    @Test("the gradient of a linear layer is correct", arguments: layerShapes, [1, 3])
    func linear(layer: ((Int, Int, Int), Precision), threads: Int) {
        let (shape, precision) = layer
        let (n, inputs, outputs) = (shape.0, precision.even(shape.1), precision.even(shape.2))
        let engine = ComputeEngine(threads: threads)
        let input = Stored(numbers(n * inputs, seed: 1), columns: inputs, precision)
        let weight = Stored(numbers(inputs * outputs, seed: 2), columns: outputs, precision)
        let b = numbers(outputs, seed: 3)
        let dOutput = Stored(numbers(n * outputs, seed: 4), columns: outputs, precision)
        let (x, w, dy, bias) = (input.doubles, weight.doubles, dOutput.doubles, buffer(b))
        let output = Stored(rows: n, columns: outputs, precision)
        let layer = Linear(weight: weight.operand, bias: bias.vector)
        layer.forward(input.operand, into: output.operand, engine: engine)
        let reference = referenceLinear(x, w, b, inputs: inputs, outputs: outputs)
        #expect(relativeError(output.doubles, reference) < precision.tolerance(2e-6))

        let dx = Stored(rows: n, columns: inputs, precision)
        layer.backwardInput(dOutput.operand, into: dx.operand, engine: engine)
        let dw = buffer(w)
        let db = buffer(b)
        for accumulates in [false, true] {
            engine.multiplyTransposed(
                input.operand, dOutput.operand, into: matrix(dw, columns: outputs),
                columnSums: db.vector, accumulates: accumulates)
        }
        // The layer is linear in each argument, so its derivatives are products again.
        let slope = referenceLinear(
            dy, transposed(w, inputs, outputs), inputs: outputs, outputs: inputs)
        #expect(relativeError(dx.doubles, slope) < precision.tolerance(2e-6))
        let weightSlope = referenceLinear(
            transposed(x, n, inputs), dy, inputs: n, outputs: outputs)
        #expect(relativeError(dw.doubles, weightSlope.map { 2 * $0 }) < 2e-6)
        let biasSlope = (0..<outputs).map { j in (0..<n).reduce(0) { $0 + dy[$1 * outputs + j] } }
        #expect(relativeError(db.doubles, biasSlope.map { 2 * $0 }) < 2e-6)
        if n * inputs <= 20, precision == .fp32 {
            let differences = finiteDifferences(x) {
                dot(referenceLinear($0, w, b, inputs: inputs, outputs: outputs), dy)
            }
            #expect(relativeError(dx.doubles, differences) < 2e-6)
        }
    }

    /// GELU and the residual stream are fused with the product.
    @Test("fused linear layers equal separate operations", arguments: layerShapes, [1, 3])
    func fusedLinear(layer: ((Int, Int, Int), Precision), threads: Int) {
        let (shape, precision) = layer
        let (n, inputs, outputs) = (shape.0, precision.even(shape.1), precision.even(shape.2))
        let engine = ComputeEngine(threads: threads)
        let input = Stored(numbers(n * inputs, seed: 1), columns: inputs, precision)
        let weight = Stored(numbers(inputs * outputs, seed: 2), columns: outputs, precision)
        let b = numbers(outputs, seed: 3)
        let carried = numbers(n * outputs, seed: 4)
        let (x, w, bias, residual) = (input.doubles, weight.doubles, buffer(b), buffer(carried))
        for hasBias in [true, false] {
            let layer = Linear(weight: weight.operand, bias: hasBias ? bias.vector : nil)
            let expected = referenceLinear(
                x, w, hasBias ? b : nil, inputs: inputs, outputs: outputs)
            let activated = Stored(carried, columns: outputs, precision)
            let slope = Stored(carried, columns: outputs, precision)
            layer.forward(
                input.operand, throughGELUInto: activated.operand, slope: slope.operand,
                engine: engine)
            let activation = referenceGELU(expected)
            #expect(relativeError(activated.doubles, activation) < precision.tolerance(2e-6))
            let h = 1e-5
            let above = referenceGELU(expected.map { $0 + h })
            let below = referenceGELU(expected.map { $0 - h })
            let derivative = zip(above, below).map { ($0 - $1) / (2 * h) }
            // Near its zero the slope is a difference between larger numbers.
            let error = zip(slope.doubles, derivative).map { abs($0 - $1) }.max() ?? 1
            #expect(error < 2e-6 + precision.tolerance(0))
            let output = Buffer<Float>(count: n * outputs)
            layer.forward(
                input.operand, addedTo: matrix(residual, columns: outputs),
                into: matrix(output, columns: outputs), engine: engine)
            #expect(relativeError(output.doubles, zip(expected, carried).map(+)) < 2e-6)
        }
        // The backward pass of GELU is the input's gradient times the slope, rounded once.
        let dy = Stored(numbers(n * outputs, seed: 5), columns: outputs, precision)
        let slope = Stored(numbers(n * inputs, seed: 6, scale: 3), columns: inputs, precision)
        let layer = Linear(weight: weight.operand, bias: nil)
        let fused = Stored(rows: n, columns: inputs, precision)
        let apart = Buffer<Float>(count: n * inputs)
        layer.backwardInput(
            dy.operand, throughSlope: slope.operand, into: fused.operand, engine: engine)
        engine.multiply(
            dy.operand, weight.operand, .transposed, into: matrix(apart, columns: inputs))
        let products = zip(apart.elements, slope.floats).map { Double($0 * $1) }
        #expect(fused.floats == Stored(products, columns: inputs, precision).floats)
    }

    /// The lengths are within a block of query rows, at its border and over several blocks.
    @Test(
        "the gradient of attention is correct",
        arguments: [
            (1, 1, 1, 1), (2, 5, 3, 3), (1, 24, 1, 4), (1, 70, 2, 5), (1, 130, 1, 3),
            (1, 150, 1, 33),
        ],
        [1, 3])
    func attention(shape: (Int, Int, Int, Int), threads: Int) {
        for precision in Precision.allCases {
            checkAttention(shape, precision, threads, dropout: nil)
        }
    }

    @Test(
        "the gradient of attention with dropout is correct",
        arguments: [(2, 6, 2, 3), (1, 70, 1, 2)])
    func attentionWithDropout(shape: (Int, Int, Int, Int)) {
        let key = DropoutKey(probability: 0.3, seed: 5, step: 2)
        for precision in Precision.allCases { checkAttention(shape, precision, 1, dropout: key) }
    }

    private func checkAttention(
        _ shape: (Int, Int, Int, Int), _ precision: Precision, _ threads: Int,
        dropout key: DropoutKey?
    ) {
        let (batch, length, heads) = (shape.0, shape.1, shape.2)
        let d = precision.even(shape.3)
        let c = heads * d
        let engine = ComputeEngine(threads: threads)
        let n = batch * length
        let qkv = Stored(numbers(n * 3 * c, seed: 1, scale: 2), columns: 3 * c, precision)
        let dOutput = Stored(numbers(n * c, seed: 2), columns: c, precision)
        let (x, dy) = (qkv.doubles, dOutput.doubles)
        let output = Stored(rows: n, columns: c, precision)
        let logSumExp = Buffer<Float>(count: batch * heads * length)
        let attention = Attention(
            batch: batch, length: length, heads: heads, headWidth: d, precision: precision,
            engine: engine)
        let dropout = key.map { Attention.Dropout(key: $0, layer: 3, firstSequence: 9) }
        let factors = key.map { key in
            (0..<batch * heads * length * length).map { index -> Double in
                let (row, s) = index.quotientAndRemainder(dividingBy: length)
                let (tile, t) = row.quotientAndRemainder(dividingBy: length)
                let (b, h) = tile.quotientAndRemainder(dividingBy: heads)
                let group = UInt32(t * ((length + 7) / 8) + s / 8)
                let site = DropoutSite.attention(layer: 3, head: h).number
                return Double(
                    key.factors(site: site, sequence: UInt32(9 + b), group: group)[s % 8])
            }
        }
        let reference = { (x: [Double]) in
            referenceAttention(
                x, batch: batch, length: length, heads: heads, headWidth: d, factors: factors)
        }
        attention.forward(
            qkv.operand, into: output.operand, logSumExp: logSumExp.vector, dropout: dropout)
        // In bf16 the probabilities are rounded before the output.
        let bound = precision.tolerance(2e-6)
        #expect(relativeError(output.doubles, reference(x)) < bound)

        // The old content must not matter.
        let dqkv = Stored(x, columns: 3 * c, precision)
        attention.backward(
            dOutput.operand, qkv: qkv.operand, output: output.operand,
            logSumExp: logSumExp.vector, into: dqkv.operand, dropout: dropout)
        let places = sampledPlaces(of: x)
        let expected = finiteDifferences(x, at: places) { dot(reference($0), dy) }
        // Length 1 has no gradient for queries and keys, so the bound includes the size of the
        // outputs.
        let gradient = dqkv.doubles
        let difference = zip(places, expected).map { gradient[$0] - $1 }
        let scale = max(dot(expected, expected), 1e-6).squareRoot()
        let error = dot(difference, difference).squareRoot() / scale
        #expect(error < (precision == .fp32 ? 1e-5 : 1.0 / 128))
    }

    @Test(
        "cross-entropy and its gradient are correct",
        arguments: [(1, 1, 1), (3, 7, 5), (20, 64, 50)], [1, 3])
    func crossEntropyAndItsGradient(shape: (Int, Int, Int), threads: Int) {
        let (n, columns, vocabulary) = shape
        let x = numbers(n * columns, seed: 1, scale: 8)
        let targets = (0..<n).map { $0 % 4 == 3 ? ignoredTarget : Int32($0 * 7 % vocabulary) }
        let logits = buffer(x)
        var losses = [Double](repeating: .nan, count: n)
        let engine = ComputeEngine(threads: threads)
        crossEntropy(
            matrix(logits, columns: columns), targets: targets, vocabularySize: vocabulary,
            losses: &losses, gradient: nil, gradientScale: 0.5, engine: engine)
        let reference = { (x: [Double]) in
            referenceCrossEntropy(x, targets: targets, columns: columns, vocabulary: vocabulary)
        }
        #expect(abs(losses.reduce(0, +) - reference(x)) < 1e-6 * max(1, reference(x)))
        #expect(logits.doubles == x, "a loss alone leaves the logits as they are")

        let before = losses
        crossEntropy(
            matrix(logits, columns: columns), targets: targets, vocabularySize: vocabulary,
            losses: &losses, gradient: matrix(logits, columns: columns).operand,
            gradientScale: 0.5, engine: engine)
        #expect(losses == before, "the same loss with and without its gradient")
        let expected = finiteDifferences(x) { 0.5 * reference($0) }
        let error = zip(logits.doubles, expected).map { abs($0 - $1) }.max() ?? 1
        #expect(error < 1e-6)
        for row in rows(logits.doubles, columns) {
            #expect(row[vocabulary...].allSatisfy { $0 == 0 }, "padding has gradient zero")
        }

        // In bf16 it is in the first half of each row and is the same, rounded once.
        let again = buffer(x)
        let halves = Operand(
            again.base, rows: n, columns: columns, stride: 2 * columns, precision: .bf16)
        crossEntropy(
            matrix(again, columns: columns), targets: targets, vocabularySize: vocabulary,
            losses: &losses, gradient: halves, gradientScale: 0.5, engine: engine)
        for row in 0..<n {
            let numbers = halves.row(row).assumingMemoryBound(to: UInt16.self)
            for column in 0..<columns {
                #expect(numbers[column] == roundedToBF16(logits.base[row * columns + column]))
            }
        }
    }

    @Test("the gradient of the embedding is correct", arguments: [1, 3], [true, false])
    func embedding(threads: Int, learnsPositions: Bool) {
        let engine = ComputeEngine(threads: threads)
        let (batch, length, c, vocabulary) = (3, 5, 70, 4)
        let tokens: [Int32] = (0..<Int32(batch * length)).map { $0 * 5 % 4 }
        let tokenTable = numbers(vocabulary * c, seed: 1)
        let positionTable = numbers(length * c, seed: 2)
        let output = Buffer<Float>(count: batch * length * c)
        let (tokenBuffer, positionBuffer) = (buffer(tokenTable), buffer(positionTable))
        embeddingForward(
            tokens, sequenceLength: length, tokenTable: matrix(tokenBuffer, columns: c),
            positionTable: learnsPositions ? matrix(positionBuffer, columns: c) : nil,
            into: matrix(output, columns: c), engine: engine)
        for row in 0..<batch * length {
            for j in [0, 7, 69] {
                let expected =
                    Float(tokenTable[Int(tokens[row]) * c + j])
                    + (learnsPositions ? Float(positionTable[row % length * c + j]) : 0)
                #expect(output.base[row * c + j] == expected)
            }
        }
        let dy = numbers(output.count, seed: 3)
        let (dOutput, dToken) = (buffer(dy), buffer(tokenTable))
        let dPosition = buffer(positionTable)
        embeddingBackward(
            matrix(dOutput, columns: c), tokens: tokens, sequenceLength: length,
            tokenGradient: matrix(dToken, columns: c), accumulatesTokens: learnsPositions,
            positionGradient: learnsPositions ? matrix(dPosition, columns: c) : nil,
            accumulatesPositions: false, engine: engine)
        var tokenExpected =
            learnsPositions ? tokenTable : [Double](repeating: 0, count: tokenTable.count)
        var positionExpected = [Double](repeating: 0, count: length * c)
        for row in 0..<batch * length {
            for j in 0..<c {
                tokenExpected[Int(tokens[row]) * c + j] += dy[row * c + j]
                positionExpected[row % length * c + j] += dy[row * c + j]
            }
        }
        #expect(relativeError(dToken.doubles, tokenExpected) < 1e-6)
        guard learnsPositions else { return }
        #expect(relativeError(dPosition.doubles, positionExpected) < 1e-6)
    }
}
