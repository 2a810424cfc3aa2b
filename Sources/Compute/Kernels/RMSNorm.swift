// Root mean square normalization (Zhang & Sennrich 2019) over the last axis:
// y = x * rstd * weight, where rstd = 1 / sqrt(mean(x^2) + epsilon).

/// Computes `output` = RMSNorm(`input`), both (rows, C); keeps `rstd` (rows) for backward.
package func rmsNormForward(
    _ input: Matrix, weight: Vector, epsilon: Float, into output: Operand, rstd: Vector,
    engine: ComputeEngine
) {
    engine.forEachRowTile(of: input.rows) { rows, _ in
        let c = input.columns
        for i in rows {
            let x = input.row(i)
            let y = output.row(i, from: 0)
            let square = total(c) { start, width in
                let x = x.load(start, width: width)
                return x * x
            }
            let r = 1 / (square / Float(c) + epsilon).squareRoot()
            forEachVector(c) { start, width in
                let normalized = x.load(start, width: width) * r
                y.store(
                    normalized * weight.base.load(start, width: width), start, width: width)
            }
            rstd.base[i] = r
        }
    }
}

/// Planned memory for the backward pass of an RMSNorm over (rows, C).
package struct RMSNormBackward {
    /// The row tiles' shares of the weight's gradient.
    private let shares: RowTileSums

    /// Plans the memory for inputs (rows, columns).
    package init(rows: Int, columns: Int, engine: ComputeEngine) {
        shares = RowTileSums(rows: rows, vectors: 1, columns: columns, engine: engine)
    }

    /// The size of the planned memory in bytes.
    package var bytes: Int { shares.bytes }

    /// Adds the input's gradient to `inputGradient`, and writes (or adds) the weight's gradient.
    ///
    /// `inputGradient` (rows, C) already holds the gradient that the residual stream carries past
    /// the layer. With n = x rstd and g = dy * weight: dx = rstd (g - n mean(g n)), dweight = sum
    /// dy n. The total is also written to `rounded` (rows, C), if given.
    package func run(
        _ outputGradient: Matrix, input: Matrix, weight: Vector, rstd: Vector,
        addingTo inputGradient: Matrix, rounded: Operand? = nil, weightGradient: Vector,
        accumulates: Bool
    ) {
        let c = input.columns
        shares.forEachTile(of: input) { rows, tile in
            let weightSums = shares.cleared(0, ofTile: tile)
            for i in rows {
                let x = input.row(i)
                let dy = outputGradient.row(i)
                let dx = inputGradient.row(i)
                let y = rounded?.row(i, from: 0)
                let r = rstd.base[i]
                let products = total(c) { start, width in
                    dy.load(start, width: width) * weight.base.load(start, width: width)
                        * x.load(start, width: width)
                }
                let meanGN = products * r / Float(c)
                forEachVector(c) { start, width in
                    let n = x.load(start, width: width) * r
                    let slope = dy.load(start, width: width)
                    let g = slope * weight.base.load(start, width: width)
                    let total = dx.load(start, width: width) + (g - n * meanGN) * r
                    dx.store(total, start, width: width)
                    if let y { y.store(total, start, width: width) }
                    weightSums.store(
                        weightSums.load(start, width: width).addingProduct(slope, n), start,
                        width: width)
                }
            }
        }
        shares.combine(0, into: weightGradient, accumulates: accumulates)
    }
}
