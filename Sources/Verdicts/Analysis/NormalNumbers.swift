import Compute
import Glibc

/// A counter-based generator of uniform and normal random numbers.
package struct NormalNumbers {
    private let random: CounterRandom
    private var count: UInt64 = 0

    /// Creates a generator of the sequence that belongs to a key.
    package init(key: UInt64) { random = CounterRandom(key: key) }

    /// Returns the next number between 0 and 1.
    package mutating func uniform() -> Double {
        count += 1
        return random.uniform(count)
    }

    /// Returns the next number with mean 0 and variance 1 (Box & Muller 1958).
    package mutating func normal() -> Double {
        (-2 * log(1 - uniform())).squareRoot() * cos(2 * Double.pi * uniform())
    }
}
