/// A format in which files store the numbers of a model.
package enum StoredFormat: Sendable {
    case fp32
    /// IEEE 754's binary16.
    case fp16
    /// The upper half of fp32's bits.
    case bf16

    /// The size of a number in bytes.
    package var bytes: Int { self == .fp32 ? 4 : 2 }
}

/// Converts stored numbers to fp32, which represents every one of them exactly.
///
/// - Parameters:
///   - source: the little-endian numbers, at any address.
///   - destination: memory for `source.count / format.bytes` numbers.
package func widen(
    _ source: UnsafeRawBufferPointer, _ format: StoredFormat,
    into destination: UnsafeMutablePointer<Float>
) {
    let count = source.count / format.bytes
    guard count > 0, let base = source.baseAddress else { return }
    switch format {
    case .fp32: UnsafeMutableRawPointer(destination).copyMemory(from: base, byteCount: 4 * count)
    case .bf16:
        for index in 0..<count {
            let bits = base.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
            destination[index] = Float(bitPattern: UInt32(bits) << 16)
        }
    case .fp16:
        for index in 0..<count {
            let bits = base.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
            destination[index] = widened(half: bits)
        }
    }
}

/// Returns the number with the bits of a binary16.
@inline(__always)
private func widened(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits & 0x7C00) >> 10
    let fraction = UInt32(bits & 0x03FF)
    switch exponent {
    case 0:
        // A subnormal number is a whole multiple of 2^-24.
        return Float(bitPattern: (Float(fraction) * 0x1p-24).bitPattern | sign)
    case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
    // The bias of the exponent is 15 in binary16, and 127 in fp32.
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
}
