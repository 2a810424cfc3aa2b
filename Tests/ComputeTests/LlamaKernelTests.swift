import Compute
import Foundation
import Testing

/// Compares LLaMA's kernels with double precision on 1 and 3 threads: the forward pass with a
/// reference, and the backward pass with the reference's finite differences.
@Suite struct LlamaKernelTests {
    @Test(
        "the gradient of root mean square normalization is correct",
        arguments: [(1, 5), (3, 8), (40, 19), (300, 24)], [1, 3])
    func rmsNorm(shape: (Int, Int), threads: Int) {
        let (n, c) = shape
        let engine = ComputeEngine(threads: threads)
        let x = numbers(n * c, seed: 1, scale: 3)
        let weight = numbers(c, seed: 2)
        let dy = numbers(n * c, seed: 4)
        let carried = numbers(n * c, seed: 5)
        let (input, w, dOutput) = (buffer(x), buffer(weight), buffer(dy))
        let output = Buffer<Float>(count: n * c)
        let rstd = Buffer<Float>(count: n)
        rmsNormForward(
            matrix(input, columns: c), weight: w.vector, epsilon: 0.25,
            into: matrix(output, columns: c).operand, rstd: rstd.vector, engine: engine)
        let reference = referenceRMSNorm(x, weight: weight, epsilon: 0.25, columns: c)
        #expect(relativeError(output.doubles, reference) < 1e-6)

        let (dx, dw) = (buffer(carried), buffer(weight))
        let rounded = Stored(rows: n, columns: c, .bf16)
        RMSNormBackward(rows: n, columns: c, engine: engine).run(
            matrix(dOutput, columns: c), input: matrix(input, columns: c), weight: w.vector,
            rstd: rstd.vector, addingTo: matrix(dx, columns: c), rounded: rounded.operand,
            weightGradient: dw.vector, accumulates: true)
        #expect(rounded.floats == Stored(dx.doubles, columns: c, .bf16).floats)
        let loss = { (x: [Double], w: [Double]) in
            dot(referenceRMSNorm(x, weight: w, epsilon: 0.25, columns: c), dy)
        }
        let weightSlope = finiteDifferences(weight) { loss(x, $0) }
        #expect(relativeError(dw.doubles, zip(weight, weightSlope).map(+)) < 5e-6)
        guard n <= 40 else { return }
        let slope = finiteDifferences(x) { loss($0, weight) }
        #expect(relativeError(dx.doubles, zip(carried, slope).map(+)) < 2e-6)
    }

    @Test(
        "rotary positions turn pairs of channels, and back",
        arguments: [(1, 1, 2), (7, 3, 6), (40, 2, 32)], [1, 3])
    func rotary(shape: (Int, Int, Int), threads: Int) {
        for precision in Precision.allCases {
            let (length, heads, d) = shape
            let engine = ComputeEngine(threads: threads)
            // Two sequences, whose rows have one more head, which must not change.
            let columns = (heads + 1) * d
            let frequencies = (0..<d / 2).map { 1 / Double($0 + 1) }
            let rotary = RotaryEmbedding(length: length, frequencies: frequencies, engine: engine)
            let x = Stored(numbers(2 * length * columns, seed: 3), columns: columns, precision)
            let before = x.doubles
            rotary.turn(x.operand, columns: heads * d, .forward)
            let after = x.doubles
            let bound = precision.tolerance(2e-7)
            for row in 0..<2 * length {
                for column in 0..<columns {
                    let (head, i) = column.quotientAndRemainder(dividingBy: d)
                    let place = row * columns + column
                    guard head < heads else {
                        #expect(after[place] == before[place])
                        continue
                    }
                    let angle = Double(row % length) * frequencies[i % (d / 2)]
                    let other = i < d / 2 ? -before[place + d / 2] : before[place - d / 2]
                    let expected = before[place] * cos(angle) + other * sin(angle)
                    #expect(abs(after[place] - expected) < 2 * bound)
                }
            }
            rotary.turn(x.operand, columns: heads * d, .backward)
            #expect(relativeError(x.doubles, before) < 2 * bound)
            // A row alone has its own position.
            let single = Stored(Array(before.suffix(columns)), columns: columns, precision)
            rotary.turn(single.operand, columns: heads * d, from: length - 1, .forward)
            #expect(single.doubles == Array(after.suffix(columns)))
        }
    }

    /// The reference of the backward pass is the derivative of the forward pass at each element.
    @Test("gated layers and their gradients are correct", arguments: layerShapes, [1, 3])
    func gatedLayer(layer: ((Int, Int, Int), Precision), threads: Int) {
        let (shape, precision) = layer
        let (n, c, f) = (shape.0, precision.even(shape.1), precision.even(shape.2))
        let engine = ComputeEngine(threads: threads)
        let x = Stored(numbers(n * c, seed: 1, scale: 2), columns: c, precision)
        let gateWeight = Stored(numbers(f * c, seed: 2), columns: c, precision)
        let upWeight = Stored(numbers(f * c, seed: 3), columns: c, precision)
        let downWeight = Stored(numbers(c * f, seed: 4), columns: f, precision)
        let values = (
            Stored(rows: n, columns: f, precision), Stored(rows: n, columns: 2 * f, precision)
        )
        let gated = GatedValues(activated: values.0.operand, factors: values.1.operand)
        let up = Linear(weight: upWeight.operand, bias: nil, storage: .transposed)
        let gate = Linear(weight: gateWeight.operand, bias: nil, storage: .transposed)
        up.forward(x.operand, into: gated.ungated, engine: engine)
        let u = rows(values.1.doubles, 2 * f).flatMap { $0[0..<f] }
        gate.forward(x.operand, gating: gated, engine: engine)
        let g = referenceLinear(
            x.doubles, transposed(gateWeight.doubles, f, c), inputs: c, outputs: f)
        let silu = { (g: Double) in g / (1 + exp(-g)) }
        let bound = precision.tolerance(2e-6)
        #expect(
            relativeError(
                u,
                referenceLinear(
                    x.doubles, transposed(upWeight.doubles, f, c), inputs: c, outputs: f)) < bound)
        #expect(relativeError(values.0.doubles, zip(g, u).map { silu($0) * $1 }) < bound)

        let dy = Stored(numbers(n * c, seed: 5), columns: c, precision)
        let down = Linear(weight: downWeight.operand, bias: nil, storage: .transposed)
        down.backwardInput(dy.operand, throughGateOf: gated, engine: engine)
        let dActivated = referenceLinear(dy.doubles, downWeight.doubles, inputs: c, outputs: f)
        let gradients = rows(values.1.doubles, 2 * f)
        let dg = gradients.flatMap { $0[0..<f] }
        let du = gradients.flatMap { $0[f...] }
        let h = 1e-5
        let expected = zip(zip(g, u), dActivated).map { pair, d in
            d * pair.1 * (silu(pair.0 + h) - silu(pair.0 - h)) / (2 * h)
        }
        #expect(relativeError(dg, expected) < 2 * bound + 1e-6)
        #expect(relativeError(du, zip(g, dActivated).map { silu($0) * $1 }) < 2 * bound)
    }

    @Test("a gate is correct for extreme values")
    func gateAtTheEdges() {
        let x: [Double] = [-1e30, -100, -10, 0, 10, 100, 1e30]
        let (gate, up) = (buffer(x), buffer(x.map { _ in 2 }))
        swiGLU(matrix(gate, columns: 7), matrix(up, columns: 7))
        #expect(abs(gate.doubles[4] - 20 / (1 + exp(-10))) < 1e-5)
        #expect(gate.doubles[3] == 0 && gate.doubles[5] == 200)
        #expect(gate.doubles[6] == 2 * Double(Float(1e30)))
        #expect(abs(gate.doubles[2] + 20 / (1 + exp(10))) < 1e-7)
        #expect(gate.doubles[0...1].allSatisfy { abs($0) < 1e-7 })
    }

    @Test(
        "a layer whose weight is stored transposed equals the direct one",
        arguments: layerShapes, [1, 3])
    func transposedLinear(layer: ((Int, Int, Int), Precision), threads: Int) {
        let (shape, precision) = layer
        let (n, inputs, outputs) = (shape.0, precision.even(shape.1), precision.even(shape.2))
        let engine = ComputeEngine(threads: threads)
        let x = Stored(numbers(n * inputs, seed: 1), columns: inputs, precision)
        let dy = Stored(numbers(n * outputs, seed: 2), columns: outputs, precision)
        let w = numbers(inputs * outputs, seed: 3)
        let direct = Stored(w, columns: outputs, precision)
        let turned = Stored(transposed(w, inputs, outputs), columns: inputs, precision)
        let results = [(direct, Storage.direct), (turned, .transposed)].map { weight, storage in
            let layer = Linear(weight: weight.operand, bias: nil, storage: storage)
            let y = Stored(rows: n, columns: outputs, precision)
            let dx = Stored(rows: n, columns: inputs, precision)
            let dw = Buffer<Float>(count: w.count)
            layer.forward(x.operand, into: y.operand, engine: engine)
            layer.backwardInput(dy.operand, into: dx.operand, engine: engine)
            layer.backwardWeight(
                dy.operand, input: x.operand, into: matrix(dw, columns: weight.operand.columns),
                biasGradient: nil, accumulates: false, engine: engine)
            let gradient =
                storage == .direct ? dw.doubles : transposed(dw.doubles, outputs, inputs)
            return [y.doubles, dx.doubles, gradient]
        }
        // Each element is the same chain of products.
        #expect(results[0][0] == results[1][0] && results[0][1] == results[1][1])
        #expect(relativeError(results[1][2], results[0][2]) < 1e-6)
    }

    @Test(
        "the gradient of attention with shared keys and values is correct",
        arguments: [(2, 5, 6, 2, 4), (1, 24, 4, 1, 4), (1, 70, 4, 2, 6), (1, 130, 2, 1, 2)],
        [1, 3])
    func groupedAttention(shape: (Int, Int, Int, Int, Int), threads: Int) {
        let (batch, length, heads, kvHeads, d) = shape
        let (n, columns) = (batch * length, (heads + 2 * kvHeads) * d)
        for precision in Precision.allCases {
            let engine = ComputeEngine(threads: threads)
            let attention = Attention(
                batch: batch, length: length, heads: heads, kvHeads: kvHeads, headWidth: d,
                precision: precision, engine: engine)
            let qkv = Stored(numbers(n * columns, seed: 1, scale: 2), columns: columns, precision)
            let dOutput = Stored(numbers(n * heads * d, seed: 2), columns: heads * d, precision)
            let output = Stored(rows: n, columns: heads * d, precision)
            let logSumExp = Buffer<Float>(count: batch * heads * length)
            attention.forward(
                qkv.operand, into: output.operand, logSumExp: logSumExp.vector, dropout: nil)
            // Every head gets its own copy of the keys and values that it shares.
            let reference = { (x: [Double]) in
                referenceAttention(
                    rows(x, columns).flatMap { row in
                        [0, heads, heads + kvHeads].enumerated().flatMap { part, first in
                            (0..<heads).flatMap { head in
                                let own = first + (part == 0 ? head : head / (heads / kvHeads))
                                return row[own * d..<(own + 1) * d]
                            }
                        }
                    }, batch: batch, length: length, heads: heads, headWidth: d)
            }
            let (x, dy) = (qkv.doubles, dOutput.doubles)
            #expect(relativeError(output.doubles, reference(x)) < precision.tolerance(2e-6))

            // The old content must not matter.
            let dqkv = Stored(x, columns: columns, precision)
            attention.backward(
                dOutput.operand, qkv: qkv.operand, output: output.operand,
                logSumExp: logSumExp.vector, into: dqkv.operand, dropout: nil)
            let places = sampledPlaces(of: x)
            let expected = finiteDifferences(x, at: places) { dot(reference($0), dy) }
            let gradient = dqkv.doubles
            #expect(
                relativeError(places.map { gradient[$0] }, expected)
                    < (precision == .fp32 ? 1e-5 : 1.0 / 128))
        }
    }
}

private func referenceRMSNorm(
    _ x: [Double], weight: [Double], epsilon: Double, columns c: Int
) -> [Double] {
    rows(x, c).flatMap { row in
        let rstd = 1 / (row.reduce(0) { $0 + $1 * $1 } / Double(c) + epsilon).squareRoot()
        return row.indices.map { row[$0] * rstd * weight[$0] }
    }
}
