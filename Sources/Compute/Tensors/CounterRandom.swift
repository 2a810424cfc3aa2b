/// A counter-based random generator: Philox4x32-10 (Salmon et al. 2011, "Parallel Random Numbers:
/// As Easy as 1, 2, 3").
///
/// Four 32-bit words are a pure function of a 64-bit key and a 128-bit counter, so any rank or
/// thread can draw the numbers of any position without drawing the earlier ones.
package struct CounterRandom: Sendable {
    @usableFromInline package let key: SIMD2<UInt32>

    /// Creates a generator whose words are a function of a key and the counter.
    package init(key: UInt64) {
        self.key = SIMD2(UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
    }

    /// Creates a generator for one purpose, independent of other purposes under the same seed.
    package init(seed: UInt64, stream: Stream) {
        self.init(key: Self.mix(seed ^ Self.mix(stream.rawValue)))
    }

    /// The purpose of random numbers.
    package enum Stream: UInt64, Sendable {
        case initialization = 1
        case sampleOrder = 2
        case dropout = 3
        case generation = 4
        case landscape = 5
        case mixture = 6
    }

    /// Returns the four words at a counter.
    @inlinable
    package func words(at counter: SIMD4<UInt32>) -> SIMD4<UInt32> {
        var x = counter
        var k0 = key.x
        var k1 = key.y
        for _ in 0..<10 {
            let product0 = UInt64(x.x) &* 0xD251_1F53
            let product1 = UInt64(x.z) &* 0xCD9E_8D57
            x = SIMD4(
                UInt32(truncatingIfNeeded: product1 >> 32) ^ x.y ^ k0,
                UInt32(truncatingIfNeeded: product1),
                UInt32(truncatingIfNeeded: product0 >> 32) ^ x.w ^ k1,
                UInt32(truncatingIfNeeded: product0))
            k0 &+= 0x9E37_79B9
            k1 &+= 0xBB67_AE85
        }
        return x
    }

    /// Returns 64 random bits at a position given by two numbers.
    package func bits(_ first: UInt64, _ second: UInt64 = 0) -> UInt64 {
        let w = words(
            at: SIMD4(
                UInt32(truncatingIfNeeded: first), UInt32(truncatingIfNeeded: first >> 32),
                UInt32(truncatingIfNeeded: second), UInt32(truncatingIfNeeded: second >> 32)))
        return UInt64(w.x) | UInt64(w.y) << 32
    }

    /// Returns a number uniform in [0, 1), with 53 random bits.
    package func uniform(_ first: UInt64, _ second: UInt64 = 0) -> Double {
        Double(bits(first, second) >> 11) * 0x1p-53
    }

    /// Returns a bijective scramble of 64 bits (Stafford 2011, "Better Bit Mixing", variant 13).
    package static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
