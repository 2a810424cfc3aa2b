/// Returns the candidate that a misspelled name most likely stands for; nil if none is close.
///
/// A candidate is close if its edit distance is at most two, or at most a third of the length of
/// the longer name. A swap of adjacent characters counts as one edit (Damerau 1964, restricted to
/// adjacent pairs).
package func nearestName(to name: String, among candidates: [String]) -> String? {
    var best: (distance: Int, candidate: String)?
    for candidate in candidates {
        let distance = editDistance(name.lowercased(), candidate.lowercased())
        guard distance <= max(2, max(name.count, candidate.count) / 3) else { continue }
        if distance < best?.distance ?? .max { best = (distance, candidate) }
    }
    return best?.candidate
}

/// Returns the remedy for a misspelled name: the question whether the nearest candidate was meant,
/// or `otherwise` if none is close.
package func spellingRemedy(
    for name: String, among candidates: [String], otherwise: String
) -> String {
    nearestName(to: name, among: candidates).map { "did you mean \"\($0)\"?" } ?? otherwise
}

/// Returns the least number of insertions, deletions, substitutions and swaps of adjacent
/// characters that turn one name into the other.
package func editDistance(_ first: String, _ second: String) -> Int {
    let a = Array(first.unicodeScalars)
    let b = Array(second.unicodeScalars)
    guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
    var beforePrevious: [Int] = []
    var previous = Array(0...b.count)
    for i in 1...a.count {
        var current = [i] + Array(repeating: 0, count: b.count)
        for j in 1...b.count {
            let substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
            current[j] = min(previous[j] + 1, current[j - 1] + 1, substitution)
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                current[j] = min(current[j], beforePrevious[j - 2] + 1)
            }
        }
        beforePrevious = previous
        previous = current
    }
    return previous[b.count]
}
