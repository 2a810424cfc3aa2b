/// The part of an arena that somebody owns, and where each of its elements lies in a buffer that
/// holds nothing else.
package struct ArenaShard: Sendable, Equatable {
    /// The owned elements of the arena, rising, with gaps between the ranges.
    package let ranges: [Range<Int>]
    /// Where each range begins in the compact buffer.
    private let starts: [Int]
    /// The owned elements' number.
    package let count: Int

    /// `ranges` rise and do not overlap.
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

    /// The parts of a range of the arena that are owned, in order, and where each begins in the
    /// compact buffer.
    package func pieces(of range: Range<Int>) -> [(elements: Range<Int>, start: Int)] {
        var pieces: [(elements: Range<Int>, start: Int)] = []
        forEachPiece(of: range) { pieces.append(($0, $1)) }
        return pieces
    }

    /// Calls `body` with each of them, for a step that must allocate nothing.
    @inline(__always)
    package func forEachPiece(
        of range: Range<Int>, _ body: (_ elements: Range<Int>, _ start: Int) -> Void
    ) {
        var index = firstRange(endingAfter: range.lowerBound)
        while index < ranges.count, ranges[index].lowerBound < range.upperBound {
            let elements = ranges[index].clamped(to: range)
            if !elements.isEmpty {
                body(elements, starts[index] + elements.lowerBound - ranges[index].lowerBound)
            }
            index += 1
        }
    }

    private func firstRange(endingAfter place: Int) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= place { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
