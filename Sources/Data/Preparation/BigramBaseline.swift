import Compute
import Glibc
import Support

/// Returns the cross-entropy, in nats per token, on `validation` of a bigram model fitted on
/// `train`. A model that sees more than one token must have a lower loss.
///
/// P(b | a) = (count(a b) + 1) / (count(a) + V), add-one smoothing (Jurafsky & Martin, "Speech and
/// Language Processing", section 3.6.1). The result is nil for a vocabulary V above 1024, or fewer
/// than two validation tokens.
///
/// - Throws: `Failure` (input/output) if a file can no longer be read.
package func bigramLoss(
    train: TokenDataset, validation: TokenDataset, vocabularySize: Int
) throws(Failure) -> Double? {
    guard vocabularySize <= 1024, validation.tokenCount >= 2 else { return nil }
    var counts = [Int](repeating: 0, count: vocabularySize * vocabularySize)
    try forEachPair(of: train) { counts[$0 * vocabularySize + $1] += 1 }
    var negativeLogs = [Double](repeating: 0, count: counts.count)
    for first in 0..<vocabularySize {
        let row = first * vocabularySize..<(first + 1) * vocabularySize
        let total = Double(counts[row].reduce(0, +) + vocabularySize)
        for pair in row { negativeLogs[pair] = log(total) - log(Double(counts[pair] + 1)) }
    }
    var sum = 0.0
    try forEachPair(of: validation) { sum += negativeLogs[$0 * vocabularySize + $1] }
    return sum / Double(validation.tokenCount - 1)
}

/// Calls a function with every token and the one that follows it.
private func forEachPair(of dataset: TokenDataset, _ body: (Int, Int) -> Void) throws(Failure) {
    let block = 1 << 16
    let ids = Buffer<Int32>(count: block + 1)
    for first in stride(from: 0, to: dataset.tokenCount - 1, by: block) {
        let pairs = min(block, dataset.tokenCount - 1 - first)
        try dataset.copy(from: first, count: pairs + 1, into: ids.base)
        for index in 0..<pairs { body(Int(ids.base[index]), Int(ids.base[index + 1])) }
    }
}
