import Glibc

/// The target that is not counted: padding after the end of a sequence.
package let ignoredTarget: Int32 = -1

/// Computes the cross-entropy of each row in nats and, if requested, the gradient.
///
/// `logits` is (rows, columns). Only the first `vocabularySize` columns take part; the others are
/// padding and get gradient zero. `losses` (rows) is -log softmax(logits)[target], or 0 for ignored
/// targets. `gradient` (rows, columns) becomes `gradientScale` (softmax - onehot(target)). If
/// it is given, the logits are overwritten, and each of its rows may begin at the same address as
/// that row of the logits.
package func crossEntropy(
    _ logits: Matrix, targets: UnsafePointer<Int32>, vocabularySize: Int,
    losses: UnsafeMutablePointer<Double>, gradient: Operand?, gradientScale: Float,
    engine: ComputeEngine
) {
    precondition(vocabularySize <= logits.columns)
    engine.forEach((logits.rows + 7) / 8) { tile, _ in
        for i in tile * 8..<min(logits.rows, tile * 8 + 8) {
            let row = logits.row(i)
            let target = Int(targets[i])
            guard target >= 0 else {
                losses[i] = 0
                if let gradient { clear(gradient, row: i, 0..<logits.columns) }
                continue
            }
            precondition(target < vocabularySize, "target outside the vocabulary")
            let largest = largestElement(row, vocabularySize)
            let targetLogit = row[target]
            let sum = exponentials(row, vocabularySize, minus: largest, kept: gradient != nil)
            losses[i] = Double(largest) - Double(targetLogit) + log(Double(sum))
            if let gradient {
                let factor = gradientScale / sum
                let ofTarget = row[target] * factor - gradientScale
                forEachVector(vocabularySize) { start, width in
                    gradient.store(
                        row.load(start, width: width) * factor, i, start, width: width)
                }
                gradient.store(Floats(repeating: ofTarget), i, target, width: 1)
                clear(gradient, row: i, vocabularySize..<logits.columns)
            }
        }
    }
}

private func clear(_ gradient: Operand, row: Int, _ columns: Range<Int>) {
    forEachVector(columns.count) { start, width in
        gradient.store(.zero, row, columns.lowerBound + start, width: width)
    }
}

@inline(__always)
private func largestElement(_ row: UnsafeMutablePointer<Float>, _ count: Int) -> Float {
    // Two chains, so that a maximum does not wait for the previous one.
    var even = Floats(repeating: -.infinity)
    var odd = even
    var start = 0
    while start + 16 <= count {
        even = pointwiseMaximum(row.load8(start), even)
        odd = pointwiseMaximum(row.load8(start + 8), odd)
        start += 16
    }
    var largest = maximum(pointwiseMaximum(even, odd))
    while start < count {
        if row[start] > largest { largest = row[start] }
        start += 1
    }
    return largest
}

/// Returns the sum of exp(x - `largest`), and replaces the row by these exponentials if `kept`.
@inline(__always)
private func exponentials(
    _ row: UnsafeMutablePointer<Float>, _ count: Int, minus largest: Float, kept: Bool
) -> Float {
    var even = Floats.zero
    var odd = Floats.zero
    var start = 0
    while start + 16 <= count {
        let first = exponential2((row.load8(start) - largest) * log2E)
        let second = exponential2((row.load8(start + 8) - largest) * log2E)
        even += first
        odd += second
        if kept {
            row.store8(first, start)
            row.store8(second, start + 8)
        }
        start += 16
    }
    var total = sum(even + odd)
    while start < count {
        let e = exponential2(Floats(repeating: (row[start] - largest) * log2E))[0]
        total += e
        if kept { row[start] = e }
        start += 1
    }
    return total
}
