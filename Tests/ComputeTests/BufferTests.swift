import Compute
import Testing

/// Tests that memory is aligned and zero and has the requested size.
@Suite struct BufferTests {
    /// The counts are below, at and above the size from which huge pages are requested.
    @Test(
        "a buffer is aligned and zero",
        arguments: [0, 1, 7, 16, 1000, (2 << 20) / 4 - 1, (2 << 20) / 4, (2 << 20) / 4 + 3])
    func isAlignedAndZero(count: Int) {
        // Leave dirty memory that the allocator may reuse.
        do {
            let dirty = Buffer<Float>(count: count)
            dirty.elements.update(repeating: 3)
        }
        let buffer = Buffer<Float>(count: count)
        #expect(buffer.count == count)
        #expect(buffer.elements.count == count)
        #expect(buffer.bytes.count == 4 * count)
        let address = UInt(bitPattern: buffer.base)
        #expect(address % 64 == 0)
        if count * 4 >= 2 << 20 { #expect(address % (2 << 20) == 0) }
        #expect(buffer.elements.allSatisfy { $0 == 0 })
        buffer.elements.update(repeating: 1)
        #expect(buffer.elements.reduce(0, +) == Float(count))
    }

    @Test("the count is in elements, not bytes")
    func countsElementsNotBytes() {
        let doubles = Buffer<Double>(count: 5)
        #expect(doubles.bytes.count == 40)
        let bytes = Buffer<UInt8>(count: 5)
        #expect(bytes.bytes.count == 5)
        doubles.elements[4] = 2.5
        #expect(doubles.bytes.load(fromByteOffset: 32, as: Double.self) == 2.5)
    }
}
