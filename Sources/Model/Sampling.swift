import Compute
import Glibc
import Support

/// The options for choosing the next token from its logits.
package struct Sampling: Sendable {
    /// The divisor of the logits; 0 always chooses the likeliest token.
    package var temperature = 1.0
    /// The number of likeliest tokens from which to choose; 0 for all.
    package var topK = 0
    /// The total probability of the likeliest tokens from which to choose (Holtzman 2020).
    package var topP = 1.0
    package var seed: UInt64 = 1337

    package init() {}

    /// Checks the options.
    ///
    /// - Throws: `Failure` (usage) that names the option and its valid range.
    package func validate() throws(Failure) {
        guard temperature >= 0, temperature.isFinite else {
            throw Failure.option(
                "--temperature", temperature, "must be 0 (greedy) or more", remedy: "try 0.8")
        }
        guard topK >= 0 else {
            throw Failure.option(
                "--top-k", topK, "must be 0 (all tokens) or more", remedy: "try 40")
        }
        guard topP > 0, topP <= 1 else {
            throw Failure.option(
                "--top-p", topP, "must be more than 0 and at most 1", remedy: "try 0.95")
        }
    }

    /// Returns the token chosen at a place in the text. The same place, seed and logits give the
    /// same token.
    package func choose(_ logits: UnsafeBufferPointer<Float>, place: Int) -> Int32 {
        precondition(!logits.isEmpty)
        // Ties go to the lower token, so that the order never depends on the sort.
        let order = logits.indices.sorted {
            logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1
        }
        guard temperature > 0 else { return Int32(order[0]) }
        let top = Double(logits[order[0]])
        var candidates = order.prefix(topK == 0 ? order.count : topK).map { token in
            (token: token, weight: exp((Double(logits[token]) - top) / temperature))
        }
        let total = candidates.reduce(0) { $0 + $1.weight }
        var reached = 0.0
        let count = candidates.firstIndex { candidate in
            reached += candidate.weight / total
            return reached >= topP
        }
        if let count { candidates.removeLast(candidates.count - count - 1) }
        let random = CounterRandom(seed: seed, stream: .generation)
        var left = random.uniform(UInt64(place)) * candidates.reduce(0) { $0 + $1.weight }
        for candidate in candidates {
            left -= candidate.weight
            if left < 0 { return Int32(candidate.token) }
        }
        return Int32(candidates[candidates.count - 1].token)
    }
}
