/// How gradients travel between hosts, and with it to what every node of the reduction tree is
/// rounded.
package enum WireFormat: String, Sendable, CaseIterable {
    /// As they are.
    case fp32
    /// In half the bytes: each lane's gradient and each sum of the tree, wherever it is computed,
    /// is rounded to bfloat16, to nearest, ties to even, so that the layout does not show. Sums are
    /// computed in fp32, and memory holds fp32.
    case bf16
}

/// What is done to each node of the tree once it is computed.
protocol NodeRounding {
    static func round(_ values: SIMD16<Float>) -> SIMD16<Float>
}

/// The fp32 wire's.
enum NoRounding: NodeRounding {
    @inline(__always)
    static func round(_ values: SIMD16<Float>) -> SIMD16<Float> { values }
}

/// The bf16 wire's: to nearest, ties to even; not-a-numbers stay what they are, made quiet.
enum BFloat16Rounding: NodeRounding {
    @inline(__always)
    static func round(_ values: SIMD16<Float>) -> SIMD16<Float> {
        let bits = unsafeBitCast(values, to: SIMD16<UInt32>.self)
        let odd = (bits &>> 16) & 1
        let rounded = bits &+ 0x7FFF &+ odd
        // A carry out of a not-a-number's significand would make it an infinity.
        let quiet = bits | 0x0040_0000
        let isNumber = values .== values
        let kept = quiet.replacing(with: rounded, where: isNumber)
        return unsafeBitCast(kept & 0xFFFF_0000, to: SIMD16<Float>.self)
    }
}

/// Rounds values in place to bfloat16; `count` is a multiple of 16.
package func roundToBFloat16(_ values: UnsafeMutablePointer<Float>, count: Int) {
    let memory = UnsafeMutableRawPointer(values)
    for offset in stride(from: 0, to: count * 4, by: 64) {
        let value = memory.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
        memory.storeBytes(
            of: BFloat16Rounding.round(value), toByteOffset: offset, as: SIMD16<Float>.self)
    }
}

/// The upper halves of values that are rounded to bfloat16; `count` is a multiple of 16.
package func packBFloat16(
    _ values: UnsafePointer<Float>, into packed: UnsafeMutablePointer<UInt16>, count: Int
) {
    let source = UnsafeRawPointer(values)
    let result = UnsafeMutableRawPointer(packed)
    for index in stride(from: 0, to: count, by: 16) {
        let bits = source.loadUnaligned(fromByteOffset: index * 4, as: SIMD16<UInt32>.self)
        let halves = SIMD16<UInt16>(truncatingIfNeeded: bits &>> 16)
        result.storeBytes(of: halves, toByteOffset: index * 2, as: SIMD16<UInt16>.self)
    }
}

/// The values whose upper halves these are; `count` is a multiple of 16.
package func unpackBFloat16(
    _ packed: UnsafePointer<UInt16>, into values: UnsafeMutablePointer<Float>, count: Int
) {
    let source = UnsafeRawPointer(packed)
    let result = UnsafeMutableRawPointer(values)
    for index in stride(from: 0, to: count, by: 16) {
        let halves = source.loadUnaligned(fromByteOffset: index * 2, as: SIMD16<UInt16>.self)
        let bits = SIMD16<UInt32>(truncatingIfNeeded: halves) &<< 16
        result.storeBytes(of: bits, toByteOffset: index * 4, as: SIMD16<UInt32>.self)
    }
}
