import Compute
import MPI
import Support

/// The second half of a sharded step: each rank updates the parameters that it owns, in the memory
/// that the ranks of its host share, and sends them to the other hosts.
///
/// The owners of a segment on different hosts send one another their parts.
final class ParameterExchange {
    private let communicator: Communicator
    private let partition: BucketPartition
    private let topology: HostTopology
    private let parameters: HostParameters
    private let counters: [SharedCounter]
    /// Keeps the memory of the counters alive.
    private let memory: HostMemory
    private let yields: Bool
    private var gathers = 0

    /// The number of messages that are still to arrive, by bucket.
    private let awaited: Buffer<Int32>
    /// The first bucket with a message that is still to arrive, and the first whose messages are not
    /// yet requested.
    private var (firstAwaited, received) = (0, 0)

    /// The number of buckets by which a rank may be ahead of the others: enough to hide a message's
    /// latency behind the next update. The others have posted receives for these buckets, so MPI
    /// does not buffer the messages.
    private static let bucketsAhead = 2

    /// Creates the exchange of updated parameters.
    ///
    /// - Parameter communicator: a communicator that carries no other messages.
    init(
        communicator: Communicator, parameters: HostParameters, memory: HostMemory,
        partition: BucketPartition, yields: Bool
    ) {
        self.communicator = communicator
        self.partition = partition
        self.memory = memory
        self.yields = yields
        topology = memory.topology
        self.parameters = parameters
        counters = memory.counters(.gathered)
        awaited = Buffer(count: partition.buckets.count)
    }

    /// Updates the parameters that this rank owns, block by block, and returns once all ranks'
    /// updates have arrived.
    ///
    /// No rank of the host reads the parameters during this call: all have finished their backward
    /// pass.
    ///
    /// - Parameter arrived: called for each block that another host has updated.
    func run(
        team: ThreadTeam, update: (Range<Int>) -> Void, arrived: (Range<Int>) -> Void
    ) throws(Failure) {
        gathers += 1
        var spinWait = SpinWait(yields: yields)
        if let segment = topology.ownSegment {
            var requests = RequestSet()
            awaited.elements.update(repeating: 0)
            (firstAwaited, received) = (0, 0)
            for bucket in partition.buckets.indices {
                // A rank that is ahead has sent no bucket beyond these.
                while received < min(bucket + Self.bucketsAhead + 2, partition.buckets.count) {
                    try receive(bucket: received, segment: segment, &requests)
                    received += 1
                }
                let own = partition.part(segment, host: topology.host, ofBucket: bucket)
                forEachBlock(of: own, team: team) { _, elements in update(elements) }
                try send(own, bucket: bucket, segment: segment, &requests)
                repeat {
                    try takeDone(&requests, segment, &spinWait, team: team, arrived)
                } while firstAwaited <= bucket - Self.bucketsAhead
            }
            while requests.count > 0 {
                try takeDone(&requests, segment, &spinWait, team: team, arrived)
            }
            counters[topology.localRank].publish(UInt64(gathers))
        }
        for owner in counters.prefix(topology.segmentCount) {
            while owner.value < UInt64(gathers) { spinWait.wait() }
            spinWait.reset()
        }
    }

    /// Processes the messages that are complete, or waits a moment if there are none.
    private func takeDone(
        _ requests: inout RequestSet, _ segment: Int, _ spinWait: inout SpinWait,
        team: ThreadTeam, _ arrived: (Range<Int>) -> Void
    ) throws(Failure) {
        let hosts = topology.hosts.count
        let done = try requests.testSome()
        for label in done where label >= 0 {
            let (bucket, host) = label.quotientAndRemainder(dividingBy: hosts)
            let part = partition.part(segment, host: host, ofBucket: bucket)
            forEachBlock(of: part, team: team) { _, elements in arrived(elements) }
            awaited.base[bucket] -= 1
        }
        while firstAwaited < received, awaited.base[firstAwaited] == 0 { firstAwaited += 1 }
        if done.isEmpty, requests.count > 0 { spinWait.wait() } else { spinWait.reset() }
    }

    private var others: [Int] {
        let count = topology.hosts.count
        return (1..<max(1, count)).map { (topology.host + $0) % count }
    }

    /// Posts a bucket's receives. A receive's label names its bucket and host; a send's label is
    /// negative.
    private func receive(
        bucket: Int, segment: Int, _ requests: inout RequestSet
    ) throws(Failure) {
        for other in others.reversed() {
            let part = partition.part(segment, host: other, ofBucket: bucket)
            if part.isEmpty { continue }
            awaited.base[bucket] += 1
            try requests.receive(
                into: bytes(part), from: topology.hosts[other][segment], of: communicator,
                tag: bucket, label: bucket * topology.hosts.count + other, keeping: memory)
        }
    }

    private func send(
        _ part: Range<Int>, bucket: Int, segment: Int, _ requests: inout RequestSet
    ) throws(Failure) {
        if part.isEmpty { return }
        for other in others {
            try requests.send(
                UnsafeRawBufferPointer(bytes(part)), to: topology.hosts[other][segment],
                of: communicator, tag: bucket, label: -1, keeping: memory)
        }
    }

    private func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            rebasing: parameters.values.bytes[range.lowerBound * 4..<range.upperBound * 4])
    }
}
