import Glibc

/// Reproducible random numbers for planted truths: SplitMix64 (Steele, Lea & Flood 2014), with
/// normal numbers by Box & Muller (1958).
package struct SeededNoise {
    private var state: UInt64

    /// - Parameter seed: numbers of different seeds are independent, also those of consecutive
    /// seeds.
    package init(seed: UInt64) { state = seed }

    /// Returns a number that is uniform in (0, 1].
    package mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double(((z ^ (z >> 31)) >> 11) + 1) * 0x1p-53
    }

    /// Returns a normal number with mean 0 and variance 1.
    package mutating func normal() -> Double {
        (-2 * log(uniform())).squareRoot() * cos(2 * Double.pi * uniform())
    }
}
