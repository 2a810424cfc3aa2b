import CCompute

/// The number of elements added at once: the tiles of several nodes fit a core's nearest cache.
private let tileElements = 2048

/// Runs `body` for the `SumOfSquares` blocks of a range, on all threads.
///
/// The range begins with a block; `body` receives each block's index in the arena and its elements.
package func forEachBlock(
    of range: Range<Int>, team: ThreadTeam, _ body: (_ block: Int, _ elements: Range<Int>) -> Void
) {
    let size = SumOfSquares.blockSize
    precondition(range.lowerBound % size == 0, "parts of the arena begin with a block")
    team.forEach(SumOfSquares.blockCount(range.count)) { index, _ in
        let start = range.lowerBound + index * size
        body(start / size, start..<min(range.upperBound, start + size))
    }
}

/// Runs `body` for the pieces of a block for which sums are computed, in order.
@inline(__always)
package func forEachTile(of block: Range<Int>, _ body: (Range<Int>) -> Void) {
    for start in stride(from: block.lowerBound, to: block.upperBound, by: tileElements) {
        body(start..<min(block.upperBound, start + tileElements))
    }
}

/// Writes `left + right` elementwise, rounded for the wire; `result` may be either operand.
///
/// `count` is a multiple of `ArenaLayout.alignment`.
package func add(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>,
    into result: UnsafeMutablePointer<Float>, count: Int, wire: WireFormat
) {
    switch wire {
    case .fp32: add(left, right, into: result, count: count, rounding: NoRounding.self)
    case .bf16: add(left, right, into: result, count: count, rounding: BFloat16Rounding.self)
    }
}

@inline(__always)
private func add<Rounding: NodeRounding>(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>,
    into result: UnsafeMutablePointer<Float>, count: Int, rounding: Rounding.Type
) {
    let result = UnsafeMutableRawPointer(result)
    var offset = 0
    while offset < count * MemoryLayout<Float>.stride {
        let sum = Rounding.round(load(left, offset) + load(right, offset))
        result.storeBytes(of: sum, toByteOffset: offset, as: SIMD16<Float>.self)
        offset += vectorBytes
    }
}

/// Writes `left + right` to two destinations, each of which may be `left`, `right` or the other
/// destination, in memory that other cores have written.
///
/// Claims cache lines shortly before they are read. A line that is read and then written is
/// requested twice from the core that holds it, which doubled the time if that core has a different
/// cache.
///
/// - Parameters:
///   - claims: two addresses to claim, both of which this addition or a later one writes.
///   - claimable: the number of elements from those addresses that this core may claim.
///   - squares: receives the squares of the sum.
@inline(__always)
func addShared<Rounding: NodeRounding>(
    _ left: UnsafeMutablePointer<Float>, _ right: UnsafeMutablePointer<Float>,
    into results: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>), count: Int,
    claims: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>), claimable: Int,
    squares: inout SumOfSquares.Accumulator, rounding: Rounding.Type
) {
    let first = UnsafeMutableRawPointer(results.0)
    let second = UnsafeMutableRawPointer(results.1)
    let isWrittenTwice = first != second
    var (low, high) = (squares.first, squares.second)
    let last = claimable * MemoryLayout<Float>.stride - vectorBytes
    var offset = 0
    while offset < count * MemoryLayout<Float>.stride {
        let claimed = min(offset + bytesClaimedAhead, last)
        lockstep_claim(UnsafeRawPointer(claims.0) + claimed)
        lockstep_claim(UnsafeRawPointer(claims.1) + claimed)
        let sum = Rounding.round(load(left, offset) + load(right, offset))
        first.storeBytes(of: sum, toByteOffset: offset, as: SIMD16<Float>.self)
        if isWrittenTwice {
            second.storeBytes(of: sum, toByteOffset: offset, as: SIMD16<Float>.self)
        }
        let (x, y) = (lockstep_doubles8(sum.lowHalf), lockstep_doubles8(sum.highHalf))
        low.addProduct(x, x)
        high.addProduct(y, y)
        offset += vectorBytes
    }
    (squares.first, squares.second) = (low, high)
}

/// The size of one addition: a cache line, or two if lines are shorter.
private let vectorBytes = MemoryLayout<SIMD16<Float>>.stride
/// The distance from the addition to the claimed line; half or four times this distance
/// makes little difference.
private let bytesClaimedAhead = 8 * vectorBytes

@inline(__always)
private func load(_ place: UnsafePointer<Float>, _ offset: Int) -> SIMD16<Float> {
    UnsafeRawPointer(place).loadUnaligned(fromByteOffset: offset, as: SIMD16<Float>.self)
}

/// Copies floats; the two arrays are the same or do not overlap.
@inline(__always)
package func copy(
    _ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int
) {
    if UnsafePointer(target) != source { target.update(from: source, count: count) }
}
