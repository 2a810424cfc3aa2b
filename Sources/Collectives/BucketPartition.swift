import Compute

/// The division of a bucket into K segments, one for each owner on a host, and of each segment into
/// one part per host.
///
/// All boundaries are boundaries of `SumOfSquares` blocks, so that the rank that sums a part can
/// also sum its blocks' squares while they are in cache.
package struct BucketPartition: Sendable {
    package let buckets: [Range<Int>]
    package let segmentCount: Int
    package let hostCount: Int

    /// Creates a partition of `buckets`, which begin on multiples of a block.
    package init(buckets: [Range<Int>], segmentCount: Int, hostCount: Int) {
        self.buckets = buckets
        self.segmentCount = segmentCount
        self.hostCount = hostCount
    }

    /// Returns the number of elements of a bucket of about `bytes` bytes whose parts are all equal.
    package static func bucketElements(bytes: Int, segmentCount: Int, hostCount: Int) -> Int {
        let block = SumOfSquares.blockSize
        let parts = segmentCount * hostCount
        let blocks = max(1, bytes / (block * MemoryLayout<Float>.stride))
        return (blocks + parts - 1) / parts * parts * block
    }

    /// Returns the elements of a bucket's segment.
    package func segment(_ segment: Int, ofBucket bucket: Int) -> Range<Int> {
        let first = part(segment, host: 0, ofBucket: bucket)
        return first.lowerBound..<part(segment, host: hostCount - 1, ofBucket: bucket).upperBound
    }

    /// Returns the elements of a segment's part that a host sums.
    package func part(_ segment: Int, host: Int, ofBucket bucket: Int) -> Range<Int> {
        let range = buckets[bucket]
        let index = segment * hostCount + host
        let start = boundary(index, of: range)
        return start..<boundary(index + 1, of: range)
    }

    /// Returns all parts of a segment that a host sums, in ascending order.
    package func parts(_ segment: Int, host: Int) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        for bucket in buckets.indices.reversed() {
            let part = part(segment, host: host, ofBucket: bucket)
            if part.isEmpty { continue }
            if let last = parts.last, last.upperBound == part.lowerBound {
                parts[parts.count - 1] = last.lowerBound..<part.upperBound
            } else {
                parts.append(part)
            }
        }
        return parts
    }

    /// The number of elements in the longest part.
    package var longestPart: Int { longest { part($0, host: $1, ofBucket: $2).count } }

    /// The number of elements in the longest segment.
    package var longestSegment: Int {
        longest { segment, _, bucket in self.segment(segment, ofBucket: bucket).count }
    }

    private func longest(_ count: (_ segment: Int, _ host: Int, _ bucket: Int) -> Int) -> Int {
        var longest = 0
        // All buckets but the first have the same size.
        for bucket in buckets.indices.prefix(2) {
            for segment in 0..<segmentCount {
                for host in 0..<hostCount { longest = max(longest, count(segment, host, bucket)) }
            }
        }
        return longest
    }

    /// Returns the element at which part `index` of all parts of a bucket begins.
    private func boundary(_ index: Int, of range: Range<Int>) -> Int {
        let blocks = SumOfSquares.blockCount(range.count)
        let block = blocks * index / (segmentCount * hostCount)
        return min(range.upperBound, range.lowerBound + block * SumOfSquares.blockSize)
    }
}
