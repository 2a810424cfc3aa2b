import Tensors

// The Gaussian error linear unit in its tanh form (Hendrycks & Gimpel 2016; GPT-2's `gelu_new`):
// GELU(x) = x/2 (1 + tanh(u)) = x sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3).

/// `output` = GELU(`input`); the two may be the same memory. Both (rows, columns), contiguous.
package func geluForward(_ input: Matrix, into output: Matrix, engine: ComputeEngine) {
    map(input.base, into: output.base, count: elementCount(input), engine: engine) { x, _ in
        gelu(x)
    }
}

/// `gradient` *= GELU'(`input`): the gradient of the output becomes that of the input.
///
/// Both (rows, columns), contiguous; `input` is what `geluForward` was given.
package func geluBackward(_ gradient: Matrix, input: Matrix, engine: ComputeEngine) {
    map(input.base, into: gradient.base, count: elementCount(input), engine: engine) { x, dy in
        dy * geluSlope(x)
    }
}

/// GELU of eight numbers.
@inline(__always)
func gelu(_ x: Floats) -> Floats { x * sigmoid(twoU(x)) }

/// GELU' of eight numbers.
@inline(__always)
func geluSlope(_ x: Floats) -> Floats {
    let s = sigmoid(twoU(x))
    let slope = Floats(repeating: 2 * scale)
        .addingProduct(Floats(repeating: 2 * scale * 3 * cubic), x * x)
    return s.addingProduct(x * slope, s * (1 - s))
}

private let scale: Float = 0.797_884_56
private let cubic: Float = 0.044_715

@inline(__always)
private func twoU(_ x: Floats) -> Floats {
    let inner = Floats(repeating: 2 * scale).addingProduct(
        Floats(repeating: 2 * scale * cubic), x * x)
    return x * inner
}

@inline(__always)
private func sigmoid(_ x: Floats) -> Floats { 1 / (1 + exponential(-x)) }

private func elementCount(_ matrix: Matrix) -> Int {
    precondition(matrix.stride == matrix.columns, "GELU works on contiguous memory")
    return matrix.rows * matrix.columns
}

/// `output[i] = body(input[i], output[i])` by tiles of 16,384 elements.
@inline(__always)
private func map(
    _ input: UnsafeMutablePointer<Float>, into output: UnsafeMutablePointer<Float>, count: Int,
    engine: ComputeEngine, _ body: (Floats, Floats) -> Floats
) {
    let tile = 16_384
    engine.team.forEach((count + tile - 1) / tile) { index, _ in
        let start = index * tile
        let end = min(count, start + tile)
        var i = start
        while i + 8 <= end {
            output.store8(body(input.load8(i), output.load8(i)), i)
            i += 8
        }
        if i < end {
            let tail = end - i
            output.store(
                body(input.load(i, count: tail), output.load(i, count: tail)), i, count: tail)
        }
    }
}
