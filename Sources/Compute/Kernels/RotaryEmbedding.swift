import Glibc

/// Rotary positions (Su et al. 2021): the pair (i, i + D/2) of each head's D channels is turned by
/// the angle position * frequency[i].
///
/// The pairs are those of Hugging Face's checkpoints. A turn keeps lengths, so the gradient turns
/// back by the same angle.
package struct RotaryEmbedding {
    private let length: Int
    private let headWidth: Int
    private let cosines: Buffer<Float>  // (T, D / 2)
    private let sines: Buffer<Float>  // (T, D / 2)
    private let engine: ComputeEngine

    /// Computes the tables for `length` positions (T); each head has twice as many channels as
    /// there are `frequencies`.
    package init(length: Int, frequencies: [Double], engine: ComputeEngine) {
        self.length = length
        self.engine = engine
        headWidth = 2 * frequencies.count
        cosines = engine.buffer(count: length * frequencies.count)
        sines = engine.buffer(count: length * frequencies.count)
        if engine.isRecording { return }
        for position in 0..<length {
            for (index, frequency) in frequencies.enumerated() {
                let angle = Double(position) * frequency
                cosines.base[position * frequencies.count + index] = Float(cos(angle))
                sines.base[position * frequencies.count + index] = Float(sin(angle))
            }
        }
    }

    /// The size of the tables in bytes.
    package var bytes: Int { cosines.bytes.count + sines.bytes.count }

    /// The direction of a turn.
    package enum Direction {
        case forward, backward
    }

    /// Turns the heads in the first `count` columns of `values` (B*T, at least `count`) in place;
    /// row i of each T has the position `first` + i.
    package func turn(
        _ values: Operand, columns count: Int, from first: Int = 0, _ direction: Direction
    ) {
        precondition(count % headWidth == 0 && first + min(values.rows, length) <= length)
        let half = headWidth / 2
        engine.forEach((values.rows + 15) / 16) { tile, _ in
            for row in tile * 16..<min(values.rows, tile * 16 + 16) {
                let place = (first + row % length) * half
                let (cosines, sines) = (cosines.base + place, sines.base + place)
                for column in stride(from: 0, to: count, by: headWidth) {
                    let x = values.row(row, from: column)
                    let y = values.row(row, from: column + half)
                    forEachVector(half) { start, width in
                        let c = cosines.load(start, width: width)
                        var s = sines.load(start, width: width)
                        if direction == .backward { s = -s }
                        let (a, b) = (x.load(start, width: width), y.load(start, width: width))
                        x.store((a * c).addingProduct(-s, b), start, width: width)
                        y.store((b * c).addingProduct(s, a), start, width: width)
                    }
                }
            }
        }
    }
}
