import Collectives
import Compute
import Testing

/// Tests of the division of the arena among hosts and ranks.
@Suite struct BucketPartitionTests {
    private static let block = SumOfSquares.blockSize

    private func partition(
        count: Int, bytes: Int, segments: Int, hosts: Int
    ) -> BucketPartition {
        let elements = BucketPartition.bucketElements(
            bytes: bytes, segmentCount: segments, hostCount: hosts)
        let buckets = GradientBuckets(count: count, bucketElements: elements)
        return BucketPartition(
            buckets: buckets.ranges, segmentCount: segments, hostCount: hosts)
    }

    @Test(
        "parts cover the arena once and begin with a block",
        arguments: [(1, 1), (2, 1), (3, 1), (1, 4), (2, 3), (5, 2)])
    func partsCoverTheArenaOnceAndBeginWithABlock(segments: Int, hosts: Int) {
        for count in [16, 4096, Self.block, 100 * Self.block, 77 * Self.block + 48] {
            let partition = partition(
                count: count, bytes: 1 << 20, segments: segments, hosts: hosts)
            var owners = [Int](repeating: 0, count: SumOfSquares.blockCount(count))
            for segment in 0..<segments {
                for host in 0..<hosts {
                    for range in partition.parts(segment, host: host) {
                        #expect(range.lowerBound % Self.block == 0)
                        #expect(range.upperBound % Self.block == 0 || range.upperBound == count)
                        for block in range.lowerBound
                            / Self.block..<SumOfSquares.blockCount(range.upperBound)
                        {
                            owners[block] += 1
                        }
                    }
                }
            }
            #expect(owners.allSatisfy { $0 == 1 })
        }
    }

    @Test("full buckets have equal parts", arguments: [(2, 1), (3, 1), (2, 3), (8, 8)])
    func fullBucketsHaveEqualParts(segments: Int, hosts: Int) {
        let partition = partition(
            count: 3000 * Self.block, bytes: 1 << 20, segments: segments, hosts: hosts)
        for bucket in partition.buckets.indices.dropFirst() {
            let sizes = (0..<segments).flatMap { segment in
                (0..<hosts).map { partition.part(segment, host: $0, ofBucket: bucket).count }
            }
            #expect(Set(sizes).count == 1)
            #expect(sizes[0] > 0)
        }
    }

    @Test("segments of a bucket are contiguous")
    func segmentsAreContiguous() {
        let partition = partition(count: 70 * Self.block, bytes: 1 << 20, segments: 3, hosts: 2)
        for bucket in partition.buckets.indices {
            let segments = (0..<3).map { partition.segment($0, ofBucket: bucket) }
            #expect(segments[0].lowerBound == partition.buckets[bucket].lowerBound)
            #expect(segments[0].upperBound == segments[1].lowerBound)
            #expect(segments[1].upperBound == segments[2].lowerBound)
            #expect(segments[2].upperBound == partition.buckets[bucket].upperBound)
        }
    }

    @Test("hosts are in the order of their lowest rank")
    func hostsAreInTheOrderOfTheirLowestRank() {
        let topology = HostTopology(hostOfRank: [7, 3, 7, 3, 3], rank: 4)
        #expect(topology.hosts == [[0, 2], [1, 3, 4]])
        #expect(topology.host == 1)
        #expect(topology.localRank == 2)
        // The smaller host has two ranks, so the third rank of the larger one owns nothing.
        #expect(topology.segmentCount == 2)
        #expect(topology.ownSegment == nil)
        #expect(topology.place(of: 2).host == 0)
        #expect(topology.place(of: 2).segment == 1)
    }
}
