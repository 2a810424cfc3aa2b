/// Moves an average toward new values: `average += weight * (values - average)`.
///
/// - Parameter count: a multiple of sixteen, as arenas are.
package func moveToward(
    _ values: UnsafePointer<Float>, _ average: UnsafeMutablePointer<Float>, count: Int,
    weight: Float
) {
    let values = UnsafeRawPointer(values)
    let average = UnsafeMutableRawPointer(average)
    let factor = SIMD16<Float>(repeating: weight)
    var offset = 0
    while offset < count * MemoryLayout<Float>.stride {
        let old = average.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
        let new = values.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
        average.storeBytes(
            of: old.addingProduct(factor, new - old), toByteOffset: offset,
            as: SIMD16<Float>.self)
        offset += MemoryLayout<SIMD16<Float>>.stride
    }
}
