import Compute
import Optimizers
import TestSupport
import Testing

/// Tests of gradient norm and clipping.
@Suite struct GradientNormTests {
    private struct Clipping: Decodable {
        let clipNorm: Double
        let norm: Double
        let gradient: [Float]
        let clipped: [Float]
    }

    private static func random(_ count: Int) -> Buffer<Float> {
        let generator = CounterRandom(key: 5)
        let buffer = Buffer<Float>(count: count)
        for index in 0..<count {
            buffer.elements[index] = Float(generator.uniform(UInt64(index)) * 2 - 1)
        }
        return buffer
    }

    @Test("clipping equals that of torch.nn.utils.clip_grad_norm_")
    func clipping() throws {
        let cases = try golden("clipping", as: [Clipping].self)
        #expect(cases.count == 5)
        for reference in cases {
            var layout = ArenaLayout()
            layout.append("gradient", shape: [reference.gradient.count])
            let arena = layout.arena(["gradient": reference.gradient])
            let norm = SumOfSquares.of(arena).squareRoot()
            #expect(abs(norm - reference.norm) <= 1e-14 * reference.norm)
            let coefficient = clippingCoefficient(norm: norm, clipNorm: reference.clipNorm)
            for (value, expected) in zip(reference.gradient, reference.clipped) {
                #expect(abs(value * coefficient - expected) <= 1e-6 * abs(expected))
            }
        }
    }

    @Test("a coefficient is at most 1, and clip_norm 0 never clips")
    func coefficient() {
        #expect(clippingCoefficient(norm: 0, clipNorm: 1) == 1)
        #expect(clippingCoefficient(norm: 0.5, clipNorm: 1) == 1)
        #expect(clippingCoefficient(norm: 4, clipNorm: 1) == Float(1 / (4 + 1e-6)))
        #expect(clippingCoefficient(norm: 1e30, clipNorm: 0) == 1)
    }

    @Test(
        "the sum has the same bits however the blocks are divided",
        arguments: [16, 16_368, 16_384, 16_400, 5 * 16_384 + 48])
    func blocks(_ count: Int) {
        let values = Self.random(count)
        let blockCount = SumOfSquares.blockCount(count)
        let whole = SumOfSquares.of(values)
        for share in 1...3 {
            let sums = Buffer<Double>(count: blockCount)
            for first in stride(from: 0, to: blockCount, by: share).reversed() {
                SumOfSquares.blocks(
                    first..<min(first + share, blockCount), of: values, into: sums)
            }
            let total = SumOfSquares.total(sums)
            #expect(total.bitPattern == whole.bitPattern)
        }
        let exact = values.elements.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(abs(whole - exact) <= 1e-13 * exact)
    }

    @Test("small numbers are not lost, and large ones do not overflow")
    func extremes() {
        let values = Buffer<Float>(count: 32)
        #expect(SumOfSquares.of(Buffer(count: 0)) == 0)
        #expect(SumOfSquares.of(values) == 0)
        values.elements[3] = 1e30
        values.elements[31] = -1e30
        let large = SumOfSquares.of(values)
        #expect(abs(large / 2e60 - 1) < 1e-6)
        values.elements[3] = 1e-30
        values.elements[31] = 0
        let small = SumOfSquares.of(values)
        #expect(abs(small / 1e-60 - 1) < 1e-6)
    }

    @Test("short sums in fp32 include every element", arguments: [0, 16, 32, 48, 2048, 2064])
    func inSinglePrecision(_ count: Int) {
        let values = Self.random(count)
        let exact = values.elements.reduce(0.0) { $0 + Double($1) * Double($1) }
        let sum = SumOfSquares.inSinglePrecision(values.base, count: count)
        #expect(abs(sum - exact) <= 1e-5 * exact)
        for place in 0..<count {
            let whole = values.elements[place]
            values.elements[place] = 100
            let more = SumOfSquares.inSinglePrecision(values.base, count: count) - sum
            #expect(abs(more - 1e4) < 2, "the square of element \(place)")
            values.elements[place] = whole
        }
    }

    @Test(
        "a number that is not finite is found anywhere",
        arguments: [0, 9, 16_383, 16_384, 16_399])
    func notFinite(_ place: Int) {
        let values = Self.random(16_400)
        values.elements[place] = .nan
        #expect(SumOfSquares.of(values).isNaN)
        values.elements[place] = -.infinity
        #expect(SumOfSquares.of(values) == .infinity)
    }
}
