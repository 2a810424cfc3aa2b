import Collectives
import Compute
import Testing

@Suite struct GradientBucketsTests {
    @Test(
        "buckets cover the arena from its end",
        arguments: [(16, 16), (4096, 1024), (4112, 1024), (48, 1000), (160, 20), (64, 1)])
    func bucketsCoverTheArenaFromItsEnd(count: Int, bucketElements: Int) {
        let ranges = GradientBuckets(count: count, bucketElements: bucketElements).ranges
        #expect(ranges.first?.upperBound == count)
        #expect(ranges.last?.lowerBound == 0)
        for (later, earlier) in zip(ranges, ranges.dropFirst()) {
            #expect(later.lowerBound == earlier.upperBound)
            #expect(earlier.count == ranges.last?.count)
            #expect(later.lowerBound % earlier.count == 0)
        }
        for range in ranges {
            #expect(range.count % 16 == 0)
            #expect(range.count <= max(16, bucketElements))
        }
    }

    @Test("only the bucket at the arena's end is shorter")
    func onlyTheLastBucketIsShorter() {
        let ranges = GradientBuckets(count: 112, bucketElements: 32).ranges
        #expect(ranges == [96..<112, 64..<96, 32..<64, 0..<32])
    }

    @Test("a bucket is ready when it and all buckets before it are finished")
    func bucketsAreReadyInOrder() {
        // The buckets, from the end, are 64..<96, 32..<64 and 0..<32.
        var buckets = GradientBuckets(count: 96, bucketElements: 32)
        #expect(buckets.finish(70..<96) == 0..<0)
        #expect(buckets.finish(0..<40) == 0..<0)
        #expect(buckets.finish(5..<5) == 0..<0)
        #expect(buckets.finish(41..<70) == 0..<1)
        #expect(!buckets.areAllReady)
        #expect(buckets.finish(40..<41) == 1..<3)
        #expect(buckets.areAllReady)
        buckets.reset()
        #expect(!buckets.areAllReady)
        #expect(buckets.finish(0..<96) == 0..<3)
    }

    @Test("any order of ranges makes every bucket ready once and in order")
    func anyOrderOfRangesMakesEveryBucketReadyOnceAndInOrder() {
        let random = CounterRandom(key: 3)
        for trial in 0..<50 {
            var buckets = GradientBuckets(count: 1024, bucketElements: 16 * (1 + trial % 9))
            let cuts =
                [0] + (1..<1024).filter { random.bits(UInt64(trial), UInt64($0)) % 11 == 0 } + [
                    1024
                ]
            let ranges = zip(cuts, cuts.dropFirst()).map { $0..<$1 }.enumerated().sorted {
                random.bits(UInt64($0.offset), 7) < random.bits(UInt64($1.offset), 7)
            }
            var finished: Set<Int> = []
            var ready: [Int] = []
            for (_, range) in ranges {
                finished.formUnion(range)
                let now = Array(buckets.finish(range))
                for bucket in now { #expect(finished.isSuperset(of: buckets.ranges[bucket])) }
                ready += now
            }
            #expect(ready == Array(buckets.ranges.indices))
        }
    }
}
