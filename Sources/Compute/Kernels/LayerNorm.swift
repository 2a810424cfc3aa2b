// Layer normalization (Ba, Kiros & Hinton 2016) over the last axis, with GPT-2's epsilon:
// y = (x - mean) * rstd * weight + bias, where rstd = 1 / sqrt(variance + 1e-5).

private let epsilon: Float = 1e-5

/// Computes `output` = LayerNorm(`input`), all (rows, C); keeps `mean` and `rstd` (rows) for
/// backward.
package func layerNormForward(
    _ input: Matrix, weight: Vector, bias: Vector?, into output: Operand, mean: Vector,
    rstd: Vector, engine: ComputeEngine
) {
    engine.forEachRowTile(of: input.rows) { rows, _ in
        for i in rows {
            let x = input.row(i)
            let c = input.columns
            let m = total(c) { x.load($0, width: $1) } / Float(c)
            let variance = total(c) { start, width in
                let centered = x.load(start, width: width) - m
                // Lanes beyond the row's end must add nothing.
                return width == 8 ? centered * centered : masked(centered * centered, width)
            }
            let r = 1 / (variance / Float(c) + epsilon).squareRoot()
            forEachVector(c) { start, width in
                let normalized = (x.load(start, width: width) - m) * r
                let scaled = normalized * weight.base.load(start, width: width)
                let shifted = bias.map { scaled + $0.base.load(start, width: width) } ?? scaled
                output.store(shifted, i, start, width: width)
            }
            mean.base[i] = m
            rstd.base[i] = r
        }
    }
}

/// Planned memory for the backward pass of a LayerNorm over (rows, C).
package struct LayerNormBackward {
    /// The row tiles' shares of the weight's and the bias's gradients.
    private let shares: RowTileSums

    /// Plans the memory for inputs (rows, columns).
    package init(rows: Int, columns: Int, engine: ComputeEngine) {
        shares = RowTileSums(rows: rows, vectors: 2, columns: columns, engine: engine)
    }

    /// The size of the planned memory in bytes.
    package var bytes: Int { shares.bytes }

    /// Adds the input's gradient to `inputGradient`, and writes (or adds) the parameters'
    /// gradients.
    ///
    /// `inputGradient` (rows, C) already holds the gradient that the residual stream carries past
    /// the layer. With n = (x - mean) rstd and g = dy * weight:
    /// dx = rstd (g - mean(g) - n mean(g n)), dweight = sum dy n, dbias = sum dy. The total is also
    /// written to `rounded` (rows, C), if given.
    package func run(
        _ outputGradient: Matrix, input: Matrix, weight: Vector, mean: Vector, rstd: Vector,
        addingTo inputGradient: Matrix, rounded: Operand? = nil, weightGradient: Vector,
        biasGradient: Vector?, accumulates: Bool
    ) {
        let c = input.columns
        shares.forEachTile(of: input) { rows, tile in
            let weightSums = shares.cleared(0, ofTile: tile)
            let biasSums = shares.cleared(1, ofTile: tile)
            for i in rows {
                let x = input.row(i)
                let dy = outputGradient.row(i)
                let dx = inputGradient.row(i)
                let m = mean.base[i]
                let r = rstd.base[i]
                let g = { (start: Int, width: Int) in
                    dy.load(start, width: width) * weight.base.load(start, width: width)
                }
                let n = { (start: Int, width: Int) in (x.load(start, width: width) - m) * r }
                let meanG = total(c, g) / Float(c)
                let meanGN = total(c) { g($0, $1) * n($0, $1) } / Float(c)
                forEachVector(c) { start, width in
                    let normalized = n(start, width)
                    let slope = dy.load(start, width: width)
                    let change = (g(start, width) - meanG - normalized * meanGN) * r
                    let total = dx.load(start, width: width) + change
                    dx.store(total, start, width: width)
                    if let rounded { rounded.store(total, i, start, width: width) }
                    weightSums.store(
                        weightSums.load(start, width: width).addingProduct(slope, normalized),
                        start, width: width)
                    biasSums.store(
                        biasSums.load(start, width: width) + slope, start, width: width)
                }
            }
        }
        shares.combine(0, into: weightGradient, accumulates: accumulates)
        if let biasGradient { shares.combine(1, into: biasGradient, accumulates: accumulates) }
    }
}
