import Compute
import Testing

/// Compares Philox4x32-10 with its authors' answers and tests the distribution of the numbers.
@Suite struct CounterRandomTests {
    /// The lines "philox4x32 10" of kat_vectors in Random123 1.14: counter, key, words.
    @Test(
        "random words equal the published ones",
        arguments: [
            (
                SIMD4<UInt32>(repeating: 0), UInt64(0),
                SIMD4<UInt32>(0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8)
            ),
            (
                SIMD4<UInt32>(repeating: .max), UInt64.max,
                SIMD4<UInt32>(0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD)
            ),
            (
                SIMD4<UInt32>(0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344),
                UInt64(0x299F_31D0_A409_3822),
                SIMD4<UInt32>(0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1)
            ),
        ])
    func knownAnswers(counter: SIMD4<UInt32>, key: UInt64, words: SIMD4<UInt32>) {
        let random = CounterRandom(key: key)
        #expect(random.words(at: counter) == words)
        // Both 64-bit places are the counter's words, the low ones first.
        let first = UInt64(counter.x) | UInt64(counter.y) << 32
        let second = UInt64(counter.z) | UInt64(counter.w) << 32
        #expect(random.bits(first, second) == UInt64(words.x) | UInt64(words.y) << 32)
    }

    @Test("uniform numbers are uniform")
    func uniformNumbersAreUniform() {
        let random = CounterRandom(seed: 1, stream: .dropout)
        let count = 100_000
        let bins = 20
        var histogram = [Int](repeating: 0, count: bins)
        var sum = 0.0
        var lagged = 0.0
        var previous = 0.5
        for place in 0..<count {
            let value = random.uniform(UInt64(place), 3)
            #expect(value >= 0 && value < 1)
            histogram[Int(value * Double(bins))] += 1
            sum += value
            lagged += (value - 0.5) * (previous - 0.5)
            previous = value
        }
        // Five standard deviations; the numbers are fixed, so this cannot fail by chance.
        #expect(abs(sum / Double(count) - 0.5) < 5 / (12 * Double(count)).squareRoot())
        #expect(abs(lagged / Double(count)) * 12 < 5 / Double(count).squareRoot())
        let expected = Double(count) / Double(bins)
        let chiSquared = histogram.reduce(0.0) { $0 + (Double($1) - expected).squared / expected }
        // With 19 degrees of freedom, 0.1 % of values are above 43.8 and 0.1 % below 5.4.
        #expect(chiSquared < 43.8 && chiSquared > 5.4)
    }

    @Test("the smallest and largest uniform numbers stay below one")
    func uniformNumbersStayBelowOne() {
        #expect(Double(UInt64.max >> 11) * 0x1p-53 < 1)
    }

    @Test("positions, seeds and streams are independent")
    func positionsSeedsAndStreamsAreIndependent() {
        var seen: Set<UInt64> = []
        let streams: [CounterRandom.Stream] = [
            .initialization, .sampleOrder, .dropout, .generation,
        ]
        for stream in streams {
            for seed in [UInt64(0), 1, 2, .max] {
                let random = CounterRandom(seed: seed, stream: stream)
                for first in 0..<UInt64(50) {
                    for second in 0..<UInt64(5) { seen.insert(random.bits(first, second)) }
                }
                // The upper halves of the places count too.
                seen.insert(random.bits(1 << 32))
                seen.insert(random.bits(0, 1 << 32))
            }
        }
        #expect(seen.count == 4 * 4 * (50 * 5 + 2), "no number came twice")
        let again = CounterRandom(seed: 7, stream: .dropout)
        #expect(
            again.bits(3, 4) == CounterRandom(seed: 7, stream: .dropout).bits(3, 4),
            "the same place gives the same number")
    }

    @Test("mixing is bijective on its input")
    func mixingIsBijective() {
        let mixed = Set((0..<UInt64(10_000)).map { CounterRandom.mix($0) })
        #expect(mixed.count == 10_000)
        // Flipping one bit of the input flips about half of the output's bits.
        var flipped = 0
        for bit in 0..<64 {
            flipped +=
                (CounterRandom.mix(12_345) ^ CounterRandom.mix(12_345 ^ 1 << UInt64(bit)))
                .nonzeroBitCount
        }
        #expect((28 * 64...36 * 64).contains(flipped))
    }
}

extension Double {
    fileprivate var squared: Double { self * self }
}
