/// Returns the index of the first value that is infinite or not a number; nil if all are finite.
package func firstNonFinite(in values: UnsafeBufferPointer<Float>) -> Int? {
    // The compiler vectorizes the loop over a block, because it has no branch.
    let exponent: UInt32 = 0x7F80_0000
    let blockSize = 4096
    for start in stride(from: 0, to: values.count, by: blockSize) {
        let block = start..<min(values.count, start + blockSize)
        var largest: UInt32 = 0
        for index in block { largest = max(largest, values[index].bitPattern & exponent) }
        if largest == exponent { return block.first { !values[$0].isFinite } }
    }
    return nil
}

extension Buffer where Element == Float {
    /// Whether every element is a finite number.
    package var isFinite: Bool { firstNonFinite(in: UnsafeBufferPointer(elements)) == nil }
}
