import Compute

/// The pieces of a gradient arena that are each reduced as one message, and their completion.
///
/// Bucket 0 is the arena's end and the last bucket its start, because the backward pass finishes
/// layers from last to first. Buckets start in that order on all ranks, since a fixed order cannot
/// deadlock. All buckets but bucket 0 have the same size, so each begins on a multiple of it.
package struct GradientBuckets: Sendable {
    /// The ranges of the buckets in the arena, in multiples of `ArenaLayout.alignment` elements.
    package let ranges: [Range<Int>]
    private let bucketElements: Int
    private let count: Int
    private var unfinished: [Int]
    private var nextReady = 0

    /// Creates buckets for `count` elements; all buckets but the first have `bucketElements`.
    package init(count: Int, bucketElements: Int) {
        let alignment = ArenaLayout.alignment
        precondition(count % alignment == 0, "arenas are multiples of \(alignment) elements")
        let size = max(alignment, bucketElements / alignment * alignment)
        ranges = stride(from: 0, to: count, by: size).reversed().map { $0..<min(count, $0 + size) }
        self.bucketElements = size
        self.count = count
        unfinished = ranges.map(\.count)
    }

    /// Marks all elements as unfinished.
    package mutating func reset() {
        // In place, because a step allocates nothing.
        for bucket in ranges.indices { unfinished[bucket] = ranges[bucket].count }
        nextReady = 0
    }

    /// Whether all of the arena is finished.
    package var areAllReady: Bool { nextReady == ranges.count }

    /// Records that a range of the arena, disjoint from all earlier ones, is finished, and returns
    /// the buckets that are now complete and have no incomplete bucket before them.
    package mutating func finish(_ range: Range<Int>) -> Range<Int> {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= count, "a range lies in the arena")
        if !range.isEmpty {
            let first = ranges.count - 1 - (range.upperBound - 1) / bucketElements
            let last = ranges.count - 1 - range.lowerBound / bucketElements
            for bucket in first...last {
                unfinished[bucket] -= ranges[bucket].clamped(to: range).count
                precondition(unfinished[bucket] >= 0, "a gradient was finished twice")
            }
        }
        let start = nextReady
        while nextReady < ranges.count, unfinished[nextReady] == 0 { nextReady += 1 }
        return start..<nextReady
    }
}
