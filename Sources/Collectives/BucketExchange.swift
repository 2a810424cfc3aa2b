import Failures
import MPI
import Tensors

/// The exchange of buckets between ranks, which finishes the reduction tree.
///
/// A bucket is split into one segment per rank, its owner. Every rank sends each owner that segment
/// of each of its nodes; the owner adds all ranks' nodes in the tree's order and sends every rank
/// the sum. Over all ranks that moves 2 (P - 1) / P of the bytes a rank, like a ring, when each
/// rank has one node.
///
/// Nothing moves between calls: the owner of the exchange calls `progress` now and then and `wait`
/// in the end. Sums arrive in the memory of the rank's first node.
final class BucketExchange {
    /// Bytes this rank has given to MPI for sending since it began.
    private(set) var bytesSent = 0

    /// Bytes of the memory for other ranks' nodes.
    var bytes: Int { staging.bytes.count }

    private let communicator: Communicator
    private let buckets: [Range<Int>]
    /// The number of whole nodes that each rank has.
    private let nodeCounts: [Int]
    /// Where each rank's nodes begin among those of all ranks, in lane order.
    private let firstNodes: [Int]
    private let additions: [(left: Int, right: Int)]

    /// Memory for other ranks' nodes of this rank's segments, for the buckets being summed.
    private let staging: Buffer<Float>
    private let slotElements: Int
    private let segmentElements: Int
    private var freeSlots: [Int]

    private var nodes: [Buffer<Float>] = []
    private var requests = RequestSet()
    private var states: [BucketState]
    /// Buckets that wait for a slot, in order.
    private var waiting: Range<Int> = 0..<0

    private struct BucketState {
        var slot = 0
        /// Other ranks' nodes that have not arrived.
        var awaitedNodes = 0
        /// For each rank, this rank's nodes that MPI may still be reading.
        var unsentNodes: [Int] = []
    }

    /// What a message is; with its bucket and the other rank, its label in the request set.
    private enum Kind: Int {
        case sentNode, receivedNode, sentSum, receivedSum
        static let count = 4
    }

    /// `slots` buckets can be in the hands of their owners at once.
    ///
    /// - Throws: what MPI reports while the ranks get a communicator of their own.
    init(
        communicator: Communicator, tree: ReductionTree, buckets: [Range<Int>], slots: Int
    ) throws(Failure) {
        self.communicator = try communicator.duplicate()
        self.buckets = buckets
        let size = communicator.size
        let rankNodes = (0..<size).map {
            tree.wholeNodes(covering: tree.lanes(ofRank: $0, size: size))
        }
        nodeCounts = rankNodes.map(\.count)
        firstNodes = rankNodes.indices.map { rankNodes[..<$0].reduce(0) { $0 + $1.count } }
        additions = tree.additions(joining: rankNodes.flatMap { $0 })

        let longest = buckets.map(\.count).max() ?? 0
        let units = longest / elementAlignment
        segmentElements = (units + size - 1) / size * elementAlignment
        let foreignNodes = nodeCounts.reduce(0, +) - nodeCounts[communicator.rank]
        slotElements = segmentElements * foreignNodes
        let slots = min(slots, max(1, buckets.count))
        staging = Buffer<Float>(count: slotElements * slots)
        freeSlots = Array(0..<slots)
        states = Array(repeating: BucketState(), count: buckets.count)
    }

    /// Whether nothing is under way.
    var isIdle: Bool { requests.count == 0 && waiting.isEmpty }

    /// Prepares for a new step; `nodes` are this rank's, in lane order.
    func begin(nodes: [Buffer<Float>]) {
        precondition(isIdle, "the last exchange is not finished")
        precondition(nodes.count == nodeCounts[communicator.rank], "one buffer for each node")
        self.nodes = nodes
        waiting = 0..<0
        bytesSent = 0
    }

    /// Starts buckets that follow those started before, whose nodes are now complete.
    func start(_ ready: Range<Int>, team: ThreadTeam) throws(Failure) {
        precondition(ready.lowerBound == waiting.upperBound, "buckets start in order")
        waiting = waiting.lowerBound..<ready.upperBound
        try startWaiting(team: team)
    }

    /// Lets messages move, without waiting.
    func progress(team: ThreadTeam) throws(Failure) {
        while requests.count > 0 {
            let done = try requests.testSome()
            if done.isEmpty { return }
            for label in done { try handle(label, team: team) }
        }
    }

    /// Returns when all started buckets are summed on all ranks.
    func wait(team: ThreadTeam) throws(Failure) {
        while requests.count > 0 {
            for label in try requests.waitSome() { try handle(label, team: team) }
        }
        precondition(waiting.isEmpty, "a bucket was never exchanged")
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
        let rank = communicator.rank
        let size = communicator.size
        let own = segment(of: bucket, owner: rank)
        states[bucket] = BucketState(slot: slot, unsentNodes: Array(repeating: 0, count: size))
        for distance in 1..<size {
            let peer = (rank + size - distance) % size
            if own.isEmpty { break }
            for node in 0..<nodeCounts[peer] {
                let memory = foreignNode(firstNodes[peer] + node, slot: slot)
                try receive(
                    memory, count: own.count, from: peer, tag: tag(bucket, node: node),
                    owner: staging, label: label(bucket, .receivedNode, peer))
                states[bucket].awaitedNodes += 1
            }
        }
        // Ranks begin with different peers, lest all send to one.
        for distance in 1..<size {
            let peer = (rank + distance) % size
            let segment = segment(of: bucket, owner: peer)
            if segment.isEmpty { continue }
            for (node, buffer) in nodes.enumerated() {
                try send(
                    buffer, segment, to: peer, tag: tag(bucket, node: node),
                    label: label(bucket, .sentNode, peer))
                states[bucket].unsentNodes[peer] += 1
            }
        }
        if own.isEmpty { freeSlots.append(slot) }
    }

    private func handle(_ label: Int, team: ThreadTeam) throws(Failure) {
        let size = communicator.size
        let peer = label % size
        let bucket = label / size / Kind.count
        switch Kind(rawValue: label / size % Kind.count) {
        case .sentNode:
            // The sum arrives where the node lies, so only once MPI no longer reads the node.
            states[bucket].unsentNodes[peer] -= 1
            if states[bucket].unsentNodes[peer] == 0 {
                let segment = segment(of: bucket, owner: peer)
                try receive(
                    nodes[0].base + segment.lowerBound, count: segment.count, from: peer,
                    tag: sumTag(bucket), owner: nodes[0],
                    label: self.label(bucket, .receivedSum, peer))
            }
        case .receivedNode:
            states[bucket].awaitedNodes -= 1
            if states[bucket].awaitedNodes == 0 {
                addNodes(of: bucket, team: team)
                freeSlots.append(states[bucket].slot)
                try sendSum(of: bucket)
                try startWaiting(team: team)
            }
        case .sentSum, .receivedSum, nil:
            break
        }
    }

    /// Adds all ranks' nodes of this rank's segment in the tree's order, into its first node.
    private func addNodes(of bucket: Int, team: ThreadTeam) {
        let own = segment(of: bucket, owner: communicator.rank)
        let slot = states[bucket].slot
        let first = firstNodes[communicator.rank]
        let memory = (0..<nodeCounts.reduce(0, +)).map { node in
            first..<first + nodes.count ~= node
                ? nodes[node - first].base + own.lowerBound : foreignNode(node, slot: slot)
        }
        let sum = nodes[0].base + own.lowerBound
        forEachTile(of: 0..<own.count, team: team) { tile in
            let offset = tile.lowerBound
            for (index, addition) in additions.enumerated() {
                let left = memory[addition.left] + offset
                let target = index == additions.count - 1 ? sum + offset : left
                add(left, memory[addition.right] + offset, into: target, count: tile.count)
            }
        }
    }

    private func sendSum(of bucket: Int) throws(Failure) {
        let own = segment(of: bucket, owner: communicator.rank)
        for distance in 1..<communicator.size {
            let peer = (communicator.rank + distance) % communicator.size
            try send(
                nodes[0], own, to: peer, tag: sumTag(bucket), label: label(bucket, .sentSum, peer))
        }
    }

    // MARK: - Places, tags and messages

    /// The part of a bucket that a rank sums.
    private func segment(of bucket: Int, owner: Int) -> Range<Int> {
        let range = buckets[bucket]
        let units = range.count / elementAlignment
        let size = communicator.size
        let start = range.lowerBound + units * owner / size * elementAlignment
        return start..<range.lowerBound + units * (owner + 1) / size * elementAlignment
    }

    /// Where another rank's node is received, by its index among all ranks' nodes.
    private func foreignNode(_ node: Int, slot: Int) -> UnsafeMutablePointer<Float> {
        let own = firstNodes[communicator.rank]
        let index = node < own ? node : node - nodeCounts[communicator.rank]
        return staging.base + slot * slotElements + index * segmentElements
    }

    private func tag(_ bucket: Int, node: Int) -> Int {
        bucket * tagsPerBucket + node
    }

    private func sumTag(_ bucket: Int) -> Int { bucket * tagsPerBucket + tagsPerBucket - 1 }

    private var tagsPerBucket: Int { (nodeCounts.max() ?? 1) + 1 }

    private func label(_ bucket: Int, _ kind: Kind, _ peer: Int) -> Int {
        (bucket * Kind.count + kind.rawValue) * communicator.size + peer
    }

    private func send(
        _ buffer: Buffer<Float>, _ range: Range<Int>, to peer: Int, tag: Int, label: Int
    ) throws(Failure) {
        let values = UnsafeBufferPointer(start: buffer.base + range.lowerBound, count: range.count)
        let bytes = UnsafeRawBufferPointer(values)
        requests.add(
            try communicator.isend(bytes, to: peer, tag: tag, keeping: buffer), label: label)
        bytesSent += bytes.count
    }

    private func receive(
        _ memory: UnsafeMutablePointer<Float>, count: Int, from peer: Int, tag: Int,
        owner: Buffer<Float>, label: Int
    ) throws(Failure) {
        let bytes = UnsafeMutableRawBufferPointer(
            UnsafeMutableBufferPointer(start: memory, count: count))
        requests.add(
            try communicator.ireceive(into: bytes, from: peer, tag: tag, keeping: owner),
            label: label)
    }
}
