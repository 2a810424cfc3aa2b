import Tensors

/// Elements to which buckets and segments are aligned: 64 bytes of fp32, as tensors are in arenas.
let elementAlignment = ArenaLayout.alignment

/// Writes `left + right` elementwise; `result` may be either of them.
///
/// `count` is a multiple of `elementAlignment`.
func add(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>,
    into result: UnsafeMutablePointer<Float>, count: Int
) {
    precondition(count % elementAlignment == 0, "sums are of whole cache lines")
    let left = UnsafeRawPointer(left)
    let right = UnsafeRawPointer(right)
    let result = UnsafeMutableRawPointer(result)
    let step = MemoryLayout<SIMD16<Float>>.stride
    var offset = 0
    while offset < count * MemoryLayout<Float>.stride {
        let sum =
            left.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
            + right.loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
        result.storeBytes(of: sum, toByteOffset: offset, as: SIMD16<Float>.self)
        offset += step
    }
}

/// Runs `body` for the pieces of a range, on all threads; a piece and its summands fit a core's
/// cache.
func forEachTile(of range: Range<Int>, team: ThreadTeam, _ body: (Range<Int>) -> Void) {
    let tileElements = 8192
    team.forEach((range.count + tileElements - 1) / tileElements) { tile, _ in
        let start = range.lowerBound + tile * tileElements
        body(start..<min(range.upperBound, start + tileElements))
    }
}
