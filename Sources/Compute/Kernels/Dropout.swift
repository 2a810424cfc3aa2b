/// The key of a dropout's random numbers. They are a function of the seed, the step, the sequence's
/// number in the global batch and the position in the model, and do not depend on the layout.
package struct DropoutKey: Sendable {
    /// The probability that an element is dropped, as a multiple of 2^-16.
    let threshold: UInt16
    /// 1 / (1 - probability), which keeps the expectation.
    let keepScale: Float
    private let random: CounterRandom
    private let step: UInt32

    /// Creates a key; the `probability` that an element is dropped, in [0, 1), is rounded to a
    /// multiple of 2^-16.
    package init(probability: Double, seed: UInt64, step: Int) {
        precondition(probability >= 0 && probability < 1)
        let threshold = min(65_535, (probability * 65_536).rounded())
        self.threshold = UInt16(threshold)
        keepScale = Float(1 / (1 - threshold / 65_536))
        random = CounterRandom(seed: seed, stream: .dropout)
        self.step = UInt32(truncatingIfNeeded: step)
    }

    /// Returns the factors (0 or 1 / (1 - p)) of elements 8 `group` ..< 8 `group` + 8 of a site.
    @inline(__always)
    package func factors(site: UInt32, sequence: UInt32, group: UInt32) -> Floats {
        // Sixteen bits for each of eight elements.
        let words = random.words(at: SIMD4(group, site, sequence, step))
        let draws = unsafeBitCast(words, to: SIMD8<UInt16>.self)
        var factors = Floats(repeating: keepScale)
        for lane in 0..<8 where draws[lane] < threshold { factors[lane] = 0 }
        return factors
    }
}

/// The sites of dropout in GPT-2: the embedding's sum, attention's probabilities, residual
/// branches.
package enum DropoutSite {
    case embedding
    case attentionProjection(layer: Int)
    case feedForwardProjection(layer: Int)
    case attention(layer: Int, head: Int)

    /// The number of the site, unique for up to 2^12 layers and 2^16 heads.
    package var number: UInt32 {
        switch self {
        case .embedding: 0
        case .attentionProjection(let layer): 1 | UInt32(layer) << 4
        case .feedForwardProjection(let layer): 2 | UInt32(layer) << 4
        case .attention(let layer, let head): 3 | UInt32(layer) << 4 | UInt32(head) << 16
        }
    }
}

/// Computes `output` = dropout(`input`), both (B*T, C); sequence b of the matrix has the number
/// `firstSequence` + b in the global batch.
///
/// The function is its own backward pass: the same key gives the same mask.
package func dropout(
    _ input: Matrix, into output: Operand, sequenceLength: Int, firstSequence: Int,
    site: DropoutSite, key: DropoutKey, engine: ComputeEngine
) {
    let groups = (input.columns + 7) / 8
    let number = site.number
    engine.forEach((input.rows + 15) / 16) { tile, _ in
        for row in tile * 16..<min(input.rows, tile * 16 + 16) {
            let sequence = UInt32(truncatingIfNeeded: firstSequence + row / sequenceLength)
            let firstGroup = (row % sequenceLength) * groups
            let x = input.row(row)
            forEachVector(input.columns) { start, width in
                let factors = key.factors(
                    site: number, sequence: sequence, group: UInt32(firstGroup + start / 8))
                output.store(
                    x.load(start, width: width) * factors, row, start, width: width)
            }
        }
    }
}

/// Computes `output` = `first` + `second`, all (rows, columns); the output may be one of the two.
package func add(_ first: Matrix, _ second: Matrix, into output: Matrix, engine: ComputeEngine) {
    engine.forEach((first.rows + 15) / 16) { tile, _ in
        for row in tile * 16..<min(first.rows, tile * 16 + 16) {
            let a = first.row(row)
            let b = second.row(row)
            let y = output.row(row)
            forEachVector(first.columns) { start, width in
                y.store(
                    a.load(start, width: width) + b.load(start, width: width), start, width: width)
            }
        }
    }
}
