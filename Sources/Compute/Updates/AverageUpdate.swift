/// Moves an average toward new values: `average += weight * (values - average)`.
///
/// - Parameter average: a multiple of sixteen numbers, as arenas are.
package func moveToward(_ values: Vector, _ average: Vector, weight: Float) {
    let count = average.count
    let values = UnsafeRawPointer(values.base)
    let average = UnsafeMutableRawPointer(average.base)
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
