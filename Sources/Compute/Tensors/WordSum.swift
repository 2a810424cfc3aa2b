/// Returns the sum modulo 2^32 of the bits of `count` values, a multiple of sixteen. A bit that flips
/// in one of them changes it.
package func wordSum(_ values: UnsafePointer<Float>, count: Int) -> UInt32 {
    let bytes = UnsafeRawPointer(values)
    var sums = SIMD16<UInt32>()
    for start in stride(from: 0, to: count, by: SIMD16<UInt32>.scalarCount) {
        sums &+= bytes.loadUnaligned(
            fromByteOffset: start * MemoryLayout<Float>.stride, as: SIMD16<UInt32>.self)
    }
    return sums.wrappedSum()
}
