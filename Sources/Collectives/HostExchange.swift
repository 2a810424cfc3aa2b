import Compute
import MPI
import Support

/// Exchanges one segment of each bucket between its owners on all hosts, which finishes the
/// reduction tree.
///
/// The segment has one part per host. Every owner sends each other owner its host's nodes of that
/// owner's part. The owner of a part adds all hosts' nodes in the tree's order, stores the sum in
/// the memory of every rank of its host, and sends it to the other owners, which store it in the
/// same way. If each host has one node, a host moves 2 (H - 1) / H of the bytes, the least
/// possible.
///
/// Messages move only during calls, so the owner of the exchange calls `progress` regularly.
final class HostExchange {
    /// The number of bytes that this rank has passed to MPI for sending in this step.
    private(set) var bytesSent = 0
    /// The number of messages that this rank has sent in this step.
    private(set) var messagesSent = 0
    /// The number of buckets of this step that are done, together with all buckets before them.
    private(set) var finished = 0

    private let communicator: Communicator
    private let partition: BucketPartition
    private let segment: Int
    private let host: Int
    /// The ranks that own this segment, by host.
    private let owners: [Int]
    /// All hosts' nodes in lane order: the host, and the node's index among the host's nodes.
    private let nodes: [(host: Int, index: Int)]
    private let nodeCounts: [Int]
    private let join: NodeJoin
    /// This host's nodes, which are sent from this memory without a copy.
    private let ownNodes: [UnsafeMutablePointer<Float>]
    /// The destinations of the sums: this rank's memory, then that of the host's other ranks.
    private let results: [UnsafeMutablePointer<Float>]
    private let memory: HostMemory
    private let wire: WireFormat
    private let scatters: Bool

    private var slots: ExchangeSlots
    private var freeSlots: [Int]
    private var requests = RequestSet()
    private var states: [BucketState]
    /// The buckets that wait for a slot, in order.
    private var waiting: Range<Int> = 0..<0

    private struct BucketState {
        var slot = 0
        /// The number of messages that are still to be completed, whether they are started or not.
        var open = 0
        /// The number of other hosts' nodes that are still to arrive.
        var awaitedNodes = 0
        /// The number of nodes that MPI may still be reading, by the host they are sent to.
        var unsentNodes: [Int] = []
        var isDone = false
    }

    /// The kind of a message. The kind, the bucket and the other host form its label in the request
    /// set.
    private enum Kind: Int {
        case sentNode, receivedNode, sentSum, receivedSum
        static let count = 4
    }

    /// Creates the exchange of this host's sums with the other hosts.
    ///
    /// - Parameters:
    ///   - communicator: a communicator that carries no other messages.
    ///   - slots: the maximum number of buckets that are under way at once.
    init(
        communicator: Communicator, memory: HostMemory, local: LocalReduction,
        hostNodes: [[Range<Int>]], tree: ReductionTree, partition: BucketPartition, segment: Int,
        slots: Int, wire: WireFormat, scatters: Bool
    ) {
        self.communicator = communicator
        self.partition = partition
        self.segment = segment
        self.memory = memory
        self.wire = wire
        self.scatters = scatters
        host = memory.topology.host
        owners = memory.topology.hosts.map { $0[segment] }
        nodeCounts = hostNodes.map(\.count)
        let all = hostNodes.enumerated().flatMap { host, nodes in
            nodes.enumerated().map { (node: $1, host: host, index: $0) }
        }.sorted { $0.node.lowerBound < $1.node.lowerBound }
        nodes = all.map { ($0.host, $0.index) }
        let (host, ownNodes, results) = (host, local.hostNodes, local.results)
        join = NodeJoin(
            additions: tree.additions(joining: all.map(\.node)), first: 0,
            receives: all.map { $0.host == host && results.contains(ownNodes[$0.index]) })
        self.ownNodes = ownNodes
        self.results = results
        let slotCount = min(slots, max(1, partition.buckets.count))
        self.slots = ExchangeSlots(
            count: slotCount, foreignNodes: nodes.count - nodeCounts[host],
            ownNodes: nodeCounts[host], partition: partition, wire: wire)
        freeSlots = Array(0..<slotCount)
        states = Array(repeating: BucketState(), count: partition.buckets.count)
    }

    /// The size of the message memory in bytes.
    var bytes: Int { slots.bytes }

    /// Whether nothing is under way.
    var isIdle: Bool { requests.count == 0 && waiting.isEmpty }

    /// Begins a step.
    func begin() {
        precondition(isIdle, "the last exchange is not finished")
        waiting = 0..<0
        finished = 0
        bytesSent = 0
        messagesSent = 0
        for bucket in states.indices { states[bucket].isDone = false }
    }

    /// Starts the buckets below `count`, whose nodes this host has summed.
    func start(upTo count: Int, team: ThreadTeam) throws(Failure) {
        waiting = waiting.lowerBound..<count
        try startWaiting(team: team)
    }

    /// Lets messages move without waiting, and returns whether any of them was done.
    func progress(team: ThreadTeam) throws(Failure) -> Bool {
        guard requests.count > 0 else { return false }
        let done = try requests.testSome()
        for label in done { try handle(label, team: team) }
        return !done.isEmpty
    }

    // MARK: - One bucket

    private func startWaiting(team: ThreadTeam) throws(Failure) {
        while !waiting.isEmpty, let slot = freeSlots.popLast() {
            let bucket = waiting.lowerBound
            waiting = bucket + 1..<waiting.upperBound
            try start(bucket, slot: slot, team: team)
        }
    }

    private func start(_ bucket: Int, slot: Int, team: ThreadTeam) throws(Failure) {
        states[bucket] = BucketState(
            slot: slot, unsentNodes: Array(repeating: 0, count: owners.count))
        let others = (1..<owners.count).map { (host + $0) % owners.count }
        let own = part(host, bucket)
        if !own.isEmpty {
            for other in others.reversed() {
                for node in 0..<nodeCounts[other] {
                    try receive(
                        slots.foreign(foreignIndex(other, node), slot: slot, count: own.count),
                        from: other, tag: tag(bucket, node: node), kind: .receivedNode, bucket)
                    states[bucket].awaitedNodes += 1
                }
            }
            states[bucket].open += states[bucket].awaitedNodes + (scatters ? 0 : others.count)
        }
        // Each host begins with a different peer, so that they do not all send to the same one.
        for other in others {
            let part = part(other, bucket)
            if part.isEmpty { continue }
            states[bucket].unsentNodes[other] = ownNodes.count
            states[bucket].open += ownNodes.count + (scatters ? 0 : 1)
            for (node, values) in ownNodes.enumerated() {
                let bytes = slots.outgoing(
                    values + part.lowerBound, count: part.count, node: node,
                    offset: part.lowerBound - segmentStart(bucket), slot: slot, team: team)
                try send(bytes, to: other, tag: tag(bucket, node: node), kind: .sentNode, bucket)
            }
        }
        try finishIfDone(bucket, team: team)
    }

    private func handle(_ label: Int, team: ThreadTeam) throws(Failure) {
        let other = label % owners.count
        let bucket = label / owners.count / Kind.count
        states[bucket].open -= 1
        switch Kind(rawValue: label / owners.count % Kind.count) {
        case .sentNode:
            // The sum may arrive in the node's memory, so only once MPI no longer reads the node.
            states[bucket].unsentNodes[other] -= 1
            if states[bucket].unsentNodes[other] == 0, !scatters {
                let part = part(other, bucket)
                let bytes = slots.incomingSum(
                    results[0] + part.lowerBound, count: part.count,
                    offset: part.lowerBound - segmentStart(bucket), slot: states[bucket].slot)
                try receive(bytes, from: other, tag: sumTag(bucket), kind: .receivedSum, bucket)
            }
        case .receivedNode:
            states[bucket].awaitedNodes -= 1
            if states[bucket].awaitedNodes == 0 {
                sumPart(of: bucket, team: team)
                try sendSum(of: bucket, team: team)
            }
        case .receivedSum:
            spread(part(other, bucket), of: bucket, team: team)
        case .sentSum, nil:
            break
        }
        try finishIfDone(bucket, team: team)
    }

    private func finishIfDone(_ bucket: Int, team: ThreadTeam) throws(Failure) {
        guard states[bucket].open == 0, !states[bucket].isDone else { return }
        states[bucket].isDone = true
        while finished < states.count, states[finished].isDone { finished += 1 }
        freeSlots.append(states[bucket].slot)
        try startWaiting(team: team)
    }

    /// Adds all hosts' nodes of this host's part in the tree's order and stores the sum for every
    /// rank.
    private func sumPart(of bucket: Int, team: ThreadTeam) {
        let own = part(host, bucket)
        let slot = states[bucket].slot
        let places = nodes.map { node in
            node.host == host
                ? ownNodes[node.index]
                : slots.foreignValues(foreignIndex(node.host, node.index), slot: slot)
                    - own.lowerBound
        }
        forEachBlock(of: own, team: team) { block, elements in
            for node in nodes where node.host != host {
                slots.unpackForeign(
                    foreignIndex(node.host, node.index), slot: slot,
                    range: elements.lowerBound - own.lowerBound..<elements.upperBound
                        - own.lowerBound)
            }
            memory.blockSums.base[block] = join.run(
                elements, memory: places, results: results, wire: wire)
        }
    }

    private func sendSum(of bucket: Int, team: ThreadTeam) throws(Failure) {
        if scatters { return }
        let own = part(host, bucket)
        let bytes = slots.outgoingSum(
            results[0] + own.lowerBound, count: own.count, slot: states[bucket].slot, team: team)
        for distance in 1..<owners.count {
            try send(
                bytes, to: (host + distance) % owners.count, tag: sumTag(bucket), kind: .sentSum,
                bucket)
        }
    }

    /// Copies another host's sum, which has arrived, into every rank's memory.
    private func spread(_ part: Range<Int>, of bucket: Int, team: ThreadTeam) {
        let start = segmentStart(bucket)
        forEachBlock(of: part, team: team) { block, elements in
            slots.unpackSum(
                into: results[0] + elements.lowerBound, count: elements.count,
                offset: elements.lowerBound - start, slot: states[bucket].slot)
            var squares = SumOfSquares.Accumulator()
            forEachTile(of: elements) { tile in
                let values = results[0] + tile.lowerBound
                for other in results.dropFirst() {
                    copy(values, to: other + tile.lowerBound, count: tile.count)
                }
                squares.add(values, count: tile.count)
            }
            memory.blockSums.base[block] = squares.total
        }
    }

    // MARK: - Places, tags and messages

    private func part(_ host: Int, _ bucket: Int) -> Range<Int> {
        partition.part(segment, host: host, ofBucket: bucket)
    }

    private func segmentStart(_ bucket: Int) -> Int { part(0, bucket).lowerBound }

    /// Returns the index of another host's node among the nodes of all other hosts.
    private func foreignIndex(_ other: Int, _ node: Int) -> Int {
        var index = node
        for each in 0..<other where each != host { index += nodeCounts[each] }
        return index
    }

    private func tag(_ bucket: Int, node: Int) -> Int { bucket * tagsPerBucket + node }

    private func sumTag(_ bucket: Int) -> Int { bucket * tagsPerBucket + tagsPerBucket - 1 }

    private var tagsPerBucket: Int { (nodeCounts.max() ?? 1) + 1 }

    private func label(_ bucket: Int, _ kind: Kind, _ other: Int) -> Int {
        (bucket * Kind.count + kind.rawValue) * owners.count + other
    }

    private func send(
        _ bytes: UnsafeRawBufferPointer, to other: Int, tag: Int, kind: Kind, _ bucket: Int
    ) throws(Failure) {
        try requests.send(
            bytes, to: owners[other], of: communicator, tag: tag,
            label: label(bucket, kind, other), keeping: self)
        bytesSent += bytes.count
        messagesSent += 1
    }

    private func receive(
        _ bytes: UnsafeMutableRawBufferPointer, from other: Int, tag: Int, kind: Kind,
        _ bucket: Int
    ) throws(Failure) {
        try requests.receive(
            into: bytes, from: owners[other], of: communicator, tag: tag,
            label: label(bucket, kind, other), keeping: self)
    }
}
