import Compute
import Testing

/// Tests of the places of tensors in an arena.
@Suite struct ArenaLayoutTests {
    @Test("tensors start at multiples of 16 elements")
    func tensorsStartOnMultiplesOfSixteenElements() {
        var layout = ArenaLayout()
        var end = 0
        for (index, shape) in [[3], [16], [17, 1], [5, 7], [], [0, 4], [2, 3, 4]].enumerated() {
            let tensor = layout.append("t\(index)", shape: shape)
            #expect(tensor.offset % ArenaLayout.alignment == 0)
            #expect(tensor.offset >= end, "\(tensor) overlaps the one before")
            #expect(tensor.offset - end < ArenaLayout.alignment, "a gap larger than needed")
            #expect(tensor.count == shape.reduce(1, *))
            #expect(tensor.range == tensor.offset..<tensor.offset + tensor.count)
            end = tensor.range.upperBound
        }
        #expect(layout.count % ArenaLayout.alignment == 0)
        #expect(layout.count >= end && layout.count - end < ArenaLayout.alignment)
        #expect(layout.elementCount == 3 + 16 + 17 + 35 + 1 + 0 + 24)
        #expect(ArenaLayout.alignment * MemoryLayout<Float>.stride == 64)
    }

    @Test("padding belongs to the arena but to no tensor")
    func paddingBelongsToNoTensor() {
        var layout = ArenaLayout()
        let embedding = layout.append("embedding", shape: [65, 8], padding: 63 * 8)
        let next = layout.append("next", shape: [1])
        #expect(embedding.count == 520)
        #expect(next.offset == 1024)
        #expect(layout.elementCount == 521)
        #expect(layout.count == 1040)
    }

    @Test("tensors are found by name")
    func findsTensorsByName() {
        var layout = ArenaLayout()
        layout.append("a", shape: [4])
        let second = layout.append("b", shape: [2, 2])
        #expect(layout["b"] == second)
        #expect(layout["c"] == nil)
        #expect(layout.tensors.map(\.name) == ["a", "b"])
    }
}
