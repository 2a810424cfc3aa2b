import Compute

/// A permutation of `0..<count` for each round, as a pure function of a key: a Feistel network with cycle walking
/// (Luby & Rackoff 1988; Black & Rogaway 2002).
struct KeyedPermutation: Sendable {
    /// The number of rounds of the Feistel network. Four suffice for large domains; tiny domains
    /// mix better in eight.
    private static let networkRounds = 8

    let count: Int
    private let random: CounterRandom
    /// The number of bits in each half of the numbers that the network permutes.
    private let halfBits: UInt32

    /// Creates the permutations of `0..<count`, which has at least one element.
    init(count: Int, random: CounterRandom) {
        precondition(count >= 1, "nothing to permute")
        self.count = count
        self.random = random
        let bits = UInt32(UInt64.bitWidth - UInt64(count - 1).leadingZeroBitCount)
        halfBits = max(1, (bits + 1) / 2)
    }

    /// Returns the place of an index in a round.
    func place(of index: Int, round: Int) -> Int {
        // The network permutes the next power of four. Walking its cycle until the value is again
        // below the count permutes 0..<count, in less than four steps on average.
        var value = UInt64(index)
        repeat { value = permuted(value, round: UInt64(round)) } while value >= count
        return Int(value)
    }

    private func permuted(_ value: UInt64, round: UInt64) -> UInt64 {
        let mask: UInt64 = (1 << UInt64(halfBits)) - 1
        var left = value >> UInt64(halfBits)
        var right = value & mask
        for networkRound in 0..<Self.networkRounds {
            let word = random.bits(round, UInt64(networkRound) << 32 | right)
            (left, right) = (right, left ^ (word & mask))
        }
        return left << UInt64(halfBits) | right
    }
}
