/// The number format of gradients between hosts, to which every node of the reduction tree is
/// rounded.
package enum WireFormat: String, Sendable, CaseIterable {
    /// Full precision.
    case fp32
    /// Half the bytes. Each lane's gradient and each sum of the tree is rounded to bfloat16, to
    /// nearest, ties to even, wherever it is computed, so the layout does not affect the result.
    /// Sums are computed in fp32, and memory holds fp32.
    case bf16
}

/// The rounding of each node of the tree after it is computed.
protocol NodeRounding {
    static func round(_ values: SIMD16<Float>) -> SIMD16<Float>
}

/// The rounding of the fp32 wire.
enum NoRounding: NodeRounding {
    @inline(__always)
    static func round(_ values: SIMD16<Float>) -> SIMD16<Float> { values }
}

/// The rounding of the bf16 wire: to nearest, ties to even; a NaN stays a NaN and becomes quiet.
enum BFloat16Rounding: NodeRounding {
    @inline(__always)
    static func round(_ values: SIMD16<Float>) -> SIMD16<Float> {
        let bits = unsafeBitCast(values, to: SIMD16<UInt32>.self)
        let odd = (bits &>> 16) & 1
        let rounded = bits &+ 0x7FFF &+ odd
        // A carry out of a NaN's significand would make it an infinity.
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

/// Packs the upper halves of values already rounded to bfloat16; `count` is a multiple of 16.
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

/// Restores values from their upper halves; `count` is a multiple of 16.
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
