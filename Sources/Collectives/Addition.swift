import Tensors

/// Elements to which buckets are aligned: 64 bytes of fp32, as tensors are in arenas.
let elementAlignment = ArenaLayout.alignment

/// Elements that are added at once: several nodes' worth fit a core's nearest cache.
private let tileElements = 2048

/// Runs `body` for the `SumOfSquares` blocks of a range, on all threads.
///
/// The range begins with a block; `body` gets each block's index in the arena and its elements.
func forEachBlock(
    of range: Range<Int>, team: ThreadTeam, _ body: (_ block: Int, _ elements: Range<Int>) -> Void
) {
    let size = SumOfSquares.blockSize
    precondition(range.lowerBound % size == 0, "parts of the arena begin with a block")
    team.forEach(SumOfSquares.blockCount(range.count)) { index, _ in
        let start = range.lowerBound + index * size
        body(start / size, start..<min(range.upperBound, start + size))
    }
}

/// Runs `body` for the pieces of a block in which sums are computed, in order.
@inline(__always)
func forEachTile(of block: Range<Int>, _ body: (Range<Int>) -> Void) {
    var start = block.lowerBound
    while start < block.upperBound {
        let end = min(block.upperBound, start + tileElements)
        body(start..<end)
        start = end
    }
}

/// Writes `left + right` elementwise, rounded for the wire; `result` may be either of them.
///
/// `count` is a multiple of `elementAlignment`.
func add(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>,
    into result: UnsafeMutablePointer<Float>, count: Int, wire: WireFormat
) {
    switch wire {
    case .fp32: add(left, right, into: result, count: count, rounding: NoRounding.self)
    case .bf16: add(left, right, into: result, count: count, rounding: BFloat16Rounding.self)
    }
}

/// Writes `left + right` to several places at once, of which any may be `left` or `right`.
func add(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>,
    intoAll results: [UnsafeMutablePointer<Float>], offset: Int, count: Int, wire: WireFormat
) {
    let first = results[0] + offset
    guard results.count > 1 else {
        add(left, right, into: first, count: count, wire: wire)
        return
    }
    let second = results[1] + offset
    switch wire {
    case .fp32:
        add(left, right, into: first, and: second, count: count, rounding: NoRounding.self)
    case .bf16:
        add(left, right, into: first, and: second, count: count, rounding: BFloat16Rounding.self)
    }
    for result in results.dropFirst(2) { copy(first, to: result + offset, count: count) }
}

@inline(__always)
private func add<Rounding: NodeRounding>(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>,
    into result: UnsafeMutablePointer<Float>, count: Int, rounding: Rounding.Type
) {
    let left = UnsafeRawPointer(left)
    let right = UnsafeRawPointer(right)
    let result = UnsafeMutableRawPointer(result)
    var offset = 0
    while offset < count * MemoryLayout<Float>.stride {
        let sum = Rounding.round(
            left.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
                + right.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self))
        result.storeBytes(of: sum, toByteOffset: offset, as: SIMD16<Float>.self)
        offset += MemoryLayout<SIMD16<Float>>.stride
    }
}

@inline(__always)
private func add<Rounding: NodeRounding>(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>,
    into first: UnsafeMutablePointer<Float>, and second: UnsafeMutablePointer<Float>, count: Int,
    rounding: Rounding.Type
) {
    let left = UnsafeRawPointer(left)
    let right = UnsafeRawPointer(right)
    let first = UnsafeMutableRawPointer(first)
    let second = UnsafeMutableRawPointer(second)
    var offset = 0
    while offset < count * MemoryLayout<Float>.stride {
        let sum = Rounding.round(
            left.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
                + right.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self))
        first.storeBytes(of: sum, toByteOffset: offset, as: SIMD16<Float>.self)
        second.storeBytes(of: sum, toByteOffset: offset, as: SIMD16<Float>.self)
        offset += MemoryLayout<SIMD16<Float>>.stride
    }
}

/// Copies floats; the two places are the same or do not overlap.
@inline(__always)
func copy(_ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int) {
    if UnsafePointer(target) != source { target.update(from: source, count: count) }
}

/// A node of the tree that is made from smaller ones, which lie in memory as whole arenas.
struct NodeJoin {
    /// The additions, by index into the memory of all smaller nodes.
    let additions: [(left: Int, right: Int)]
    /// Where the sum ends: the first of the smaller nodes.
    let first: Int

    /// Makes the node within a block, tile by tile; the smaller nodes are overwritten.
    ///
    /// - Parameters:
    ///   - memory: the smaller nodes; each is a place such that adding an element's index in the
    ///     arena gives the element's place.
    ///   - results: where the sum goes, in the same sense; one at least.
    ///   - squares: takes the sum's squares, where wanted.
    func run(
        _ block: Range<Int>, memory: [UnsafeMutablePointer<Float>],
        results: [UnsafeMutablePointer<Float>], wire: WireFormat,
        squares: inout SumOfSquares.Accumulator?
    ) {
        forEachTile(of: block) { tile in
            let offset = tile.lowerBound
            for (left, right) in additions.dropLast() {
                add(
                    memory[left] + offset, memory[right] + offset, into: memory[left] + offset,
                    count: tile.count, wire: wire)
            }
            if let last = additions.last {
                add(
                    memory[last.left] + offset, memory[last.right] + offset, intoAll: results,
                    offset: offset, count: tile.count, wire: wire)
            } else {
                for result in results {
                    copy(memory[first] + offset, to: result + offset, count: tile.count)
                }
            }
            squares?.add(results[0] + offset, count: tile.count)
        }
    }
}
