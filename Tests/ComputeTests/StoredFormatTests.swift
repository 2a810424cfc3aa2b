import Compute
import Foundation
import Testing

/// Tests that numbers of every format become the fp32 numbers of the same value.
@Suite struct StoredFormatTests {
    /// Returns all numbers of 16 bits in a format as fp32.
    private func widened(_ format: StoredFormat) -> [Float] {
        let bits = Array(UInt16.min...UInt16.max)
        var values = [Float](repeating: 7, count: bits.count)
        bits.withUnsafeBytes { widen($0, format, into: &values) }
        return values
    }

    @Test("every number of fp16 keeps its value")
    func half() {
        for (bits, value) in widened(.fp16).enumerated() {
            let (exponent, fraction) = (bits >> 10 & 0x1F, Double(bits & 0x3FF))
            let size: Double =
                switch exponent {
                case 0: fraction * pow(2, -24)
                case 31: fraction == 0 ? .infinity : .nan
                default: (1 + fraction / 1024) * pow(2, Double(exponent) - 15)
                }
            if size.isNaN {
                #expect(value.isNaN, "\(bits)")
            } else {
                #expect(Double(value).magnitude == size, "\(bits)")
                #expect((value.sign == .minus) == (bits & 0x8000 != 0), "\(bits)")
            }
        }
    }

    @Test("the bits of bf16 are the upper half of fp32's")
    func brain() {
        for (bits, value) in widened(.bf16).enumerated() {
            #expect(value.bitPattern == UInt32(bits) << 16)
        }
    }

    @Test("numbers are read at any address")
    func unaligned() {
        let bytes: [UInt8] = [0xFF, 0, 0, 0x80, 0x3F, 0, 0x3C]
        var value: Float = 0
        bytes.withUnsafeBytes {
            widen(UnsafeRawBufferPointer(rebasing: $0[1..<5]), .fp32, into: &value)
            #expect(value == 1)
            value = 0
            widen(UnsafeRawBufferPointer(rebasing: $0[5..<7]), .fp16, into: &value)
            #expect(value == 1)
        }
    }
}
