import Compute
import Recipes

/// The messages between hosts in one step, counted without sending them.
///
/// All hosts have the same number of ranks, which are consecutive. `HostExchange` sends these
/// messages, and `ExchangeSimulation` executes their order.
package struct ExchangeTraffic: Sendable {
    /// The messages of one owner, or of one host, for one bucket.
    package struct Load: Sendable, Equatable {
        package var sentBytes = 0
        package var receivedBytes = 0
        package var sentMessages = 0
        package var receivedMessages = 0
        /// The bytes of sums or, if the sum stays with its owners, of updated parameters, which
        /// are also received.
        package var spreadBytes = 0

        package static func + (left: Load, right: Load) -> Load {
            Load(
                sentBytes: left.sentBytes + right.sentBytes,
                receivedBytes: left.receivedBytes + right.receivedBytes,
                sentMessages: left.sentMessages + right.sentMessages,
                receivedMessages: left.receivedMessages + right.receivedMessages,
                spreadBytes: left.spreadBytes + right.spreadBytes)
        }
    }

    package let partition: BucketPartition
    /// The number of whole nodes of the reduction tree that each host's lanes form.
    package let nodeCounts: [Int]
    /// The number of nodes of all hosts.
    package let allNodes: Int
    package let bytesPerElement: Int
    /// Whether each sum stays with its owner.
    package let scatters: Bool

    package init(
        elementCount: Int, tree: ReductionTree, hosts: Int, ranksPerHost: Int,
        bucketBytes: Int = GradientReducer.defaultBucketBytes, wire: WireFormat = .fp32,
        scatters: Bool = false
    ) {
        let division = tree.equalDivision(among: hosts * ranksPerHost)
        let buckets = GradientBuckets(
            count: elementCount,
            bucketElements: BucketPartition.bucketElements(
                bytes: bucketBytes, segmentCount: ranksPerHost, hostCount: hosts))
        partition = BucketPartition(
            buckets: buckets.ranges, segmentCount: ranksPerHost, hostCount: hosts)
        nodeCounts = (0..<hosts).map { host in
            let first = division[host * ranksPerHost].lowerBound
            let end = division[(host + 1) * ranksPerHost - 1].upperBound
            return tree.shape(of: first..<end).nodes
        }
        allNodes = nodeCounts.reduce(0, +)
        bytesPerElement = wire == .fp32 ? 4 : 2
        self.scatters = scatters
    }

    /// Returns the load of each host's owner of a segment for a bucket, by host.
    package func loads(segment: Int, bucket: Int) -> [Load] {
        let hosts = partition.hostCount
        let parts = (0..<hosts).map {
            partition.part(segment, host: $0, ofBucket: bucket).count
        }
        let elements = parts.reduce(0, +)
        let filledParts = parts.count { $0 > 0 }
        return parts.indices.map { host in
            let (own, others) = (parts[host], elements - parts[host])
            let filledOthers = filledParts - (own > 0 ? 1 : 0)
            var load = Load()
            load.sentBytes = others * nodeCounts[host] * bytesPerElement
            load.receivedBytes = own * (allNodes - nodeCounts[host]) * bytesPerElement
            load.sentMessages = filledOthers * nodeCounts[host]
            load.receivedMessages = own > 0 ? allNodes - nodeCounts[host] : 0
            load.spreadBytes =
                max(own * (hosts - 1), others)
                * (scatters ? MemoryLayout<Float>.stride : bytesPerElement)
            guard !scatters else { return load }
            load.sentBytes += own * (hosts - 1) * bytesPerElement
            load.receivedBytes += others * bytesPerElement
            load.sentMessages += own > 0 ? hosts - 1 : 0
            load.receivedMessages += filledOthers
            return load
        }
    }

    /// Returns the largest numbers of any host and of any owner for a bucket.
    package func largestLoads(ofBucket bucket: Int) -> (host: Load, owner: Load) {
        var hosts = Array(repeating: Load(), count: partition.hostCount)
        var owner = Load()
        for segment in 0..<partition.segmentCount {
            for (host, load) in loads(segment: segment, bucket: bucket).enumerated() {
                hosts[host] = hosts[host] + load
                owner = Self.larger(owner, load)
            }
        }
        return (hosts.reduce(Load(), Self.larger), owner)
    }

    private static func larger(_ left: Load, _ right: Load) -> Load {
        Load(
            sentBytes: max(left.sentBytes, right.sentBytes),
            receivedBytes: max(left.receivedBytes, right.receivedBytes),
            sentMessages: max(left.sentMessages, right.sentMessages),
            receivedMessages: max(left.receivedMessages, right.receivedMessages),
            spreadBytes: max(left.spreadBytes, right.spreadBytes))
    }

    /// The size in bytes of the memory for messages of an owner with the most.
    package var slotBytes: Int {
        guard partition.hostCount > 1 else { return 0 }
        return ExchangeSlots.bytes(
            count: min(GradientReducer.defaultInExchange, max(1, partition.buckets.count)),
            foreignNodes: allNodes - (nodeCounts.min() ?? 0), ownNodes: nodeCounts.max() ?? 0,
            partition: partition, wire: bytesPerElement == 4 ? .fp32 : .bf16)
    }
}
