/// The part of an arena that a rank owns, and the position of each of its elements in a compact
/// buffer.
package struct ArenaShard: Sendable, Equatable {
    /// The owned ranges of the arena, in increasing order.
    package let ranges: [Range<Int>]
    /// The start of each range in the compact buffer.
    private let starts: [Int]
    /// The number of owned elements.
    package let count: Int

    /// Creates a shard of some ranges of an arena.
    ///
    /// - Parameter ranges: the owned ranges, which increase and do not overlap.
    package init(_ ranges: [Range<Int>]) {
        self.ranges = ranges
        var starts: [Int] = []
        var count = 0
        for (index, range) in ranges.enumerated() {
            precondition(
                index == 0 || ranges[index - 1].upperBound <= range.lowerBound, "ranges rise")
            starts.append(count)
            count += range.count
        }
        self.starts = starts
        self.count = count
    }

    /// Returns the owned parts of a range of the arena, in order, and their starts in the compact
    /// buffer.
    package func pieces(of range: Range<Int>) -> [(elements: Range<Int>, start: Int)] {
        var pieces: [(elements: Range<Int>, start: Int)] = []
        forEachPiece(of: range) { pieces.append(($0, $1)) }
        return pieces
    }

    /// Calls `body` with each owned part of a range and its start, without allocating.
    @inline(__always)
    package func forEachPiece(
        of range: Range<Int>, _ body: (_ elements: Range<Int>, _ start: Int) -> Void
    ) {
        forEachOverlap(of: range, with: ranges) { index, elements in
            body(elements, starts[index] + elements.lowerBound - ranges[index].lowerBound)
        }
    }
}

/// Calls `body` with the overlap of a range with each of `ranges`, which increase, that has one,
/// and with the index of the latter, without allocating.
@inline(__always)
package func forEachOverlap(
    of range: Range<Int>, with ranges: [Range<Int>],
    _ body: (_ index: Int, _ elements: Range<Int>) -> Void
) {
    // Finds the first range that ends after the start, by bisection.
    var index = 0
    var high = ranges.count
    while index < high {
        let middle = (index + high) / 2
        let isBefore = ranges[middle].upperBound <= range.lowerBound
        if isBefore { index = middle + 1 } else { high = middle }
    }
    while index < ranges.count, ranges[index].lowerBound < range.upperBound {
        let elements = ranges[index].clamped(to: range)
        if !elements.isEmpty { body(index, elements) }
        index += 1
    }
}
