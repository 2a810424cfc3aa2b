// The gated linear unit with SiLU (Shazeer 2020): activated = silu(g) * u with g = x G, u = x U and
// silu(g) = g sigmoid(g). Its backward: dL/dg = dL/da * u silu'(g), dL/du = dL/da * silu(g).

/// The values of a gated layer that forward keeps for backward, for a hidden width of F.
package struct GatedValues: Sendable {
    /// The output of the gate (rows, F).
    package let activated: Operand
    /// The factors u silu'(g) and silu(g) of the gradients, side by side (rows, 2F). The first half
    /// holds u before forward reaches it; backward overwrites both with the gradients of g and u.
    package let factors: Operand

    package init(activated: Operand, factors: Operand) {
        precondition(factors.columns == 2 * activated.columns)
        self.activated = activated
        self.factors = factors
    }

    /// The place of u before the gate (rows, F).
    package var ungated: Operand { factors.columns(0..<activated.columns) }
    fileprivate var gates: Operand { factors.columns(activated.columns..<factors.columns) }
}

extension Linear {
    /// Computes g = `input` W, and the gated values from g and u. `values.ungated` must hold u.
    package func forward(
        _ input: Operand, gating values: GatedValues, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        let (ungated, gates, activated) = (values.ungated, values.gates, values.activated)
        engine.forEachProductBlock(
            input, weight, storage, touching: (ungated, activated), betweenTiles: betweenTiles
        ) { elements, row, column in
            for i in 0..<elements.rows {
                let x = elements.row(i)
                let up = ungated.row(row + i, from: column)
                let gate = gates.row(row + i, from: column)
                let y = activated.row(row + i, from: column)
                forEachVector(elements.columns) { start, width in
                    let (silu, slope) = siluAndSlope(x.load(start, width: width))
                    let u = up.load(start, width: width)
                    y.store(silu * u, start, width: width)
                    gate.store(silu, start, width: width)
                    up.store(slope * u, start, width: width)
                }
            }
        }
    }

    /// Computes the gradients of g and u, side by side in `values.factors`, from that of the output
    /// of this layer, whose input is `values.activated`.
    package func backwardInput(
        _ outputGradient: Operand, throughGateOf values: GatedValues, engine: ComputeEngine,
        betweenTiles: () -> Void = {}
    ) {
        let (ungated, gates) = (values.ungated, values.gates)
        engine.forEachProductBlock(
            outputGradient, weight, storage.opposite, touching: (ungated, gates),
            betweenTiles: betweenTiles
        ) { elements, row, column in
            for i in 0..<elements.rows {
                let dy = elements.row(i)
                let up = ungated.row(row + i, from: column)
                let gate = gates.row(row + i, from: column)
                forEachVector(elements.columns) { start, width in
                    let slope = dy.load(start, width: width)
                    up.store(slope * up.load(start, width: width), start, width: width)
                    gate.store(slope * gate.load(start, width: width), start, width: width)
                }
            }
        }
    }
}

/// Computes `gate` = silu(`gate`) * `up` in place, on one thread.
package func swiGLU(_ gate: Matrix, _ up: Matrix) {
    for row in 0..<gate.rows {
        let (x, u) = (gate.row(row), up.row(row))
        forEachVector(gate.columns) { start, width in
            let silu = siluAndSlope(x.load(start, width: width)).value
            x.store(silu * u.load(start, width: width), start, width: width)
        }
    }
}

/// Returns SiLU and SiLU' of eight numbers.
@inline(__always)
private func siluAndSlope(_ x: Floats) -> (value: Floats, slope: Floats) {
    // sigmoid(x) = 1 / (1 + 2^v), where v = -log2(e) x.
    let s = 1 / (1 + exponential2(x * -log2E))
    let value = x * s
    return (value, s.addingProduct(value, 1 - s))
}
