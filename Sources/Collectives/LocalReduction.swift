import Compute
import MPI

/// Sums each bucket's nodes over the ranks of one host, through memory that the ranks share.
///
/// A rank announces that its nodes of a bucket are complete. Once all ranks of the host have done
/// so, the owner of each segment reads every rank's nodes in place, adds them tile by tile in the
/// tree's order, and stores the result directly in every rank's memory, without intermediate
/// copies. If there are several hosts, the results are the host's own nodes of the tree, which stay
/// with the owner for the exchange between hosts.
struct LocalReduction {
    /// The host's nodes of the tree, in lane order; only the root if there is one host.
    private var joins: [NodeJoin] = []
    /// The memory of the ranks' nodes, in lane order.
    private var memory: [UnsafeMutablePointer<Float>] = []
    /// The destinations of the sums: this rank's first node, then those of the host's other ranks.
    let results: [UnsafeMutablePointer<Float>]

    private let partition: BucketPartition
    private let segment: Int?
    private let isWhole: Bool
    private let wire: WireFormat
    private let blockSums: Buffer<Double>

    private let localRank: Int
    private let announcements: [SharedCounter]
    /// The number of buckets, since the start, that all ranks had announced at the last check.
    private var announcedByAll = 0
    /// The number of buckets of all earlier steps.
    private var base = 0
    /// The number of buckets of this step that this rank has announced.
    private(set) var announced = 0
    /// The number of buckets of this step whose own segment is summed.
    private(set) var summed = 0

    /// Creates a reduction for the lanes that `divide` then divides.
    ///
    /// - Parameter scatters: whether each sum is stored only in its owner's memory.
    init(memory host: HostMemory, partition: BucketPartition, wire: WireFormat, scatters: Bool) {
        let topology = host.topology
        let own = host.nodes[topology.localRank][0].base
        let others = host.nodes.indices.filter { $0 != topology.localRank }
        results = [own] + (scatters ? [] : others.map { host.nodes[$0][0].base })
        isWhole = topology.hosts.count == 1
        self.partition = partition
        segment = topology.ownSegment
        self.wire = wire
        blockSums = host.blockSums
        localRank = topology.localRank
        announcements = host.counters(.announced)
    }

    /// Divides the lanes among the ranks; every rank of the host must do so between two steps.
    ///
    /// - Parameter hostNodes: the whole nodes of the host's lanes, in lane order.
    mutating func divide(
        _ division: LaneDivision, tree: ReductionTree, hostNodes: [Range<Int>],
        memory host: HostMemory
    ) {
        let places = zip(host.topology.localRanks, host.nodes).flatMap { rank, buffers in
            zip(LaneSchedule(tree: tree, lanes: division[rank]).nodes, buffers)
        }.sorted { $0.0.lowerBound < $1.0.lowerBound }
        let rankNodes = places.map(\.0)
        memory = places.map(\.1.base)
        joins = hostNodes.map { node in
            let first = rankNodes.firstIndex { $0.lowerBound == node.lowerBound } ?? 0
            return NodeJoin(
                additions: tree.additions(joining: rankNodes, into: node), first: first,
                receives: memory.indices.map {
                    isWhole ? results.contains(memory[$0]) : $0 == first
                })
        }
    }

    /// The memory of the host's nodes of the tree, in lane order, valid once they are summed.
    var hostNodes: [UnsafeMutablePointer<Float>] { joins.map { memory[$0.first] } }

    /// Begins a step.
    mutating func begin() {
        base += announced
        announced = 0
        summed = 0
    }

    /// Announces to the host's ranks the number of this step's buckets whose nodes are complete
    /// here.
    mutating func announce(_ count: Int) {
        announced = count
        announcements[localRank].publish(UInt64(base + count))
    }

    /// Sums this rank's segments of the buckets that all ranks have announced.
    /// - Returns: whether there were any.
    mutating func progress(team: ThreadTeam) -> Bool {
        guard summed < announced else { return false }
        if announcedByAll <= base + summed {
            announcedByAll = announcements.reduce(.max) { min($0, Int($1.value)) }
            guard announcedByAll > base + summed else { return false }
        }
        let first = summed
        summed = min(announced, announcedByAll - base)
        if let segment {
            for bucket in first..<summed {
                sum(partition.segment(segment, ofBucket: bucket), team: team)
            }
        }
        return true
    }

    private func sum(_ range: Range<Int>, team: ThreadTeam) {
        forEachBlock(of: range, team: team) { block, elements in
            // If there are several hosts, a lone rank's node already is the host's node.
            for join in joins where isWhole || !join.additions.isEmpty {
                let squares = join.run(
                    elements, memory: memory, results: isWhole ? results : [memory[join.first]],
                    wire: wire)
                if isWhole { blockSums.base[block] = squares }
            }
        }
    }
}
