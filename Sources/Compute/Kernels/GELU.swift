// The Gaussian error linear unit in its tanh form (Hendrycks & Gimpel 2016; GPT-2's `gelu_new`):
// GELU(x) = x/2 (1 + tanh(u)) = x sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3).

/// Computes `output` = GELU(`input`) and, if requested, `slope` = GELU'(`input`); `output` may be
/// `input`.
///
/// All are (rows, columns). Backward multiplies by the slope, which shares its exponential with
/// forward.
package func geluForward(
    _ input: Matrix, into output: Matrix, slope: Matrix? = nil, engine: ComputeEngine
) {
    engine.forEach((input.rows + 15) / 16) { tile, _ in
        for row in tile * 16..<min(input.rows, tile * 16 + 16) {
            let x = input.row(row)
            let y = output.row(row)
            forEachVector(input.columns) { start, width in
                let (value, derivative) = geluAndSlope(x.load(start, width: width))
                y.store(value, start, width: width)
                if let slope { slope.row(row).store(derivative, start, width: width) }
            }
        }
    }
}

/// Returns GELU and GELU' of eight numbers.
@inline(__always)
func geluAndSlope(_ x: Floats) -> (value: Floats, slope: Floats) {
    let square = x * x
    // sigmoid(2u) = 1 / (1 + 2^v), where v = -2 log2(e) u.
    let v =
        x
        * Floats(repeating: -2 * scale * log2E)
        .addingProduct(Floats(repeating: -2 * scale * log2E * cubic), square)
    let s = 1 / (1 + exponential2(v))
    let twoUSlope = Floats(repeating: 2 * scale)
        .addingProduct(Floats(repeating: 2 * scale * 3 * cubic), square)
    let value = x * s
    return (value, s.addingProduct(value * twoUSlope, 1 - s))
}

private let scale: Float = 0.797_884_56
private let cubic: Float = 0.044_715
