import Compute
import Glibc
import MPI
import Support

/// The memory through which the ranks of one host read one another's sums.
///
/// Each host has one shared window, in which every rank has its counters and the first buffers of
/// its `LaneStack`. If requested, the window also holds the host's parameters. A rank that is alone
/// on its host, or that shares no memory, has plain memory instead.
final class HostMemory {
    let topology: HostTopology
    /// The buffers by local rank. The first ones end as the whole nodes of the rank's
    /// `LaneSchedule`; the reduced gradient ends in the very first.
    private(set) var nodes: [[Buffer<Float>]]
    /// The parameters and memory for their rounded copy, the same on all ranks of the host; nil
    /// unless requested.
    let parameters: Buffer<Float>?
    let roundedParameters: Buffer<UInt16>?
    /// The ranks that share the memory; nil if this rank has plain memory.
    let host: Communicator?
    /// The sum of squares of each of the arena's blocks, the same memory on all ranks of the host.
    let blockSums: Buffer<Double>
    /// A log notice of why a host's ranks share no memory although they could; nil if they share
    /// it.
    let notice: String?

    private let window: SharedWindow?
    private let counterMemory: [UnsafeMutableRawPointer]
    /// The memory of the counters if there is no window.
    private let ownCounters: Buffer<UInt8>?

    /// The progress that a rank reports to the others of its host, each by its own counter.
    enum Progress: Int, CaseIterable {
        /// The number of buckets, since the start, whose nodes are complete.
        case announced
        /// The number of buckets whose own segment is in place on all ranks of the host.
        case reduced
        /// The number of times that the parameters this rank owns, or received, are in place on
        /// all ranks of the host.
        case gathered
    }

    /// Creates the memory; collective: every rank of `communicator` must call this.
    ///
    /// - Parameters:
    ///   - nodeCount: the number of buffers that a rank of several has in the window.
    ///   - roundsParameters: whether shared parameters have a rounded copy.
    ///   - hostOfRank: a number for each rank's host, for tests; nil for the real hosts, divided
    ///     into groups of LOCKSTEP_RANKS_PER_NODE ranks if the environment sets it.
    /// - Throws: `Failure` (usage) if LOCKSTEP_RANKS_PER_NODE is not a number of ranks, or the
    ///   error that MPI reports.
    init(
        communicator: Communicator, nodeCount: Int, elementCount: Int, sharesParameters: Bool,
        roundsParameters: Bool = false, hostOfRank: [Int]? = nil
    ) throws(Failure) {
        let layout = Layout(
            elementCount: elementCount, nodeCount: nodeCount, sharesParameters: sharesParameters,
            roundsParameters: roundsParameters)
        let host = try Self.group(communicator, hostOfRank: hostOfRank)
        let (window, reason) = try Self.window(host, bytes: layout.bytes(ofRank: host.rank))

        // A rank without a window counts as a host of its own.
        let ids = try Self.hostOfRank(communicator, host: window == nil ? nil : host)
        let topology = HostTopology(hostOfRank: ids, rank: communicator.rank)
        self.topology = topology
        notice = try communicator.firstText(reason)
        self.window = window
        self.host = window == nil ? nil : host

        if let window {
            let places = topology.localRanks.indices.map { local in
                Places(base: window.parts[local], layout: layout, rank: local, owner: window)
            }
            counterMemory = places.map(\.counters)
            ownCounters = nil
            nodes = places.map(\.nodes)
            parameters = places[0].parameters
            roundedParameters = places[0].roundedParameters
            blockSums = places[0].blockSums
            // The first rank to touch a page decides which memory node holds it.
            memset(places[topology.localRank].counters, 0, layout.ownBytes)
            if let parameters {
                let part = HostParameters.part(
                    topology.localRank, of: topology.localRanks.count, elementCount: elementCount)
                let start = part.lowerBound
                memset(parameters.base + start, 0, part.count * MemoryLayout<Float>.stride)
                if let roundedParameters {
                    memset(
                        roundedParameters.base + start, 0, part.count * MemoryLayout<UInt16>.stride)
                }
            }
            try host.barrier()
        } else {
            let counters = Buffer<UInt8>(count: Layout.counterBytes)
            ownCounters = counters
            counterMemory = [UnsafeMutableRawPointer(counters.base)]
            nodes = [[Buffer(count: elementCount)]]
            parameters = sharesParameters ? Buffer(count: elementCount) : nil
            roundedParameters =
                sharesParameters && roundsParameters ? Buffer(count: elementCount) : nil
            blockSums = Buffer(count: SumOfSquares.blockCount(elementCount))
        }
    }

    /// Returns the buffers of this rank, at least `count`.
    func ownNodes(_ count: Int) -> [Buffer<Float>] {
        if window == nil {
            while nodes[0].count < count { nodes[0].append(Buffer(count: nodes[0][0].count)) }
        }
        precondition(nodes[topology.localRank].count >= count, "the window has a buffer per node")
        return nodes[topology.localRank]
    }

    /// Returns a counter of each rank of the host.
    func counters(_ progress: Progress) -> [SharedCounter] {
        counterMemory.map { SharedCounter(at: $0 + progress.rawValue * SharedCounter.stride) }
    }

    /// The size of the counters and sums of squares in bytes.
    var bookkeepingBytes: Int { Layout.counterBytes + blockSums.bytes.count }

    /// Returns the number of bytes of other ranks' memory that are mapped here once this rank has
    /// read `ranges`, which ascend, of their nodes.
    ///
    /// - Parameter nodeCounts: the number of nodes of each rank of the host.
    func mappedPeerBytes(of ranges: [Range<Int>], nodeCounts: [Int]) -> Int {
        let peers = topology.localRanks.indices.filter { $0 != topology.localRank }
        var bytes = 0
        for peer in peers where peer < nodes.count {
            for node in nodes[peer].prefix(nodeCounts[peer]) {
                bytes += Self.mappedBytes(ranges, of: node)
            }
        }
        return bytes
    }

    /// Returns the size in bytes of the pages that hold ranges of a buffer.
    private static func mappedBytes(_ ranges: [Range<Int>], of buffer: Buffer<Float>) -> Int {
        let pages = SharedWindow.readAroundBytes
        var bytes = 0
        var mapped = 0
        for range in ranges where !range.isEmpty {
            let first = Int(bitPattern: buffer.base + range.lowerBound) / pages
            let end = (Int(bitPattern: buffer.base + range.upperBound) + pages - 1) / pages
            bytes += max(0, end - max(first, mapped)) * pages
            mapped = max(mapped, end)
        }
        return bytes
    }

    /// Frees the shared memory; collective over the ranks of the host.
    func free() throws(Failure) { try window?.free() }

    // MARK: - Groups and windows

    /// Returns the communicator of the ranks with which this one would share memory.
    private static func group(
        _ communicator: Communicator, hostOfRank: [Int]?
    ) throws(Failure) -> Communicator {
        if let hostOfRank {
            let host = hostOfRank[communicator.rank]
            return try communicator.group(of: hostOfRank.indices.filter { hostOfRank[$0] == host })
        }
        let ranksPerNode = try communicator.agree { () throws(Failure) -> Int in
            guard let setting = getenv("LOCKSTEP_RANKS_PER_NODE") else { return .max }
            let text = String(cString: setting)
            guard let count = Int(text), count >= 1 else {
                throw .variable(
                    "LOCKSTEP_RANKS_PER_NODE", text, "is not a number of ranks",
                    remedy:
                        "set it to 1 or more, or unset it to let all ranks of a host share memory")
            }
            return count
        }
        let node = try communicator.splitShared()
        if ranksPerNode >= node.size { return node }
        let first = node.rank / ranksPerNode * ranksPerNode
        return try node.group(of: Array(first..<min(node.size, first + ranksPerNode)))
    }

    /// Returns a number for each rank's host.
    ///
    /// If all hosts have equally many consecutive ranks, as in most jobs, the messages of this do
    /// not grow with the number of ranks.
    private static func hostOfRank(
        _ communicator: Communicator, host: Communicator?
    ) throws(Failure) -> [Int] {
        let rank = communicator.rank
        let first = try host?.allReduce(Int64(rank), .minimum) ?? Int64(rank)
        let size = Int64(host?.size ?? 1)
        let isInPlace = Int64(rank) / size * size == first
        let most = try communicator.allReduce([size, -size, isInPlace ? 0 : 1], .maximum)
        if most == [size, -size, 0] { return (0..<communicator.size).map { $0 / Int(size) } }
        return try communicator.allGather([first]).map(Int.init)
    }

    /// Returns a window with `bytes` bytes for this rank. The window is nil if the group is a
    /// single rank or memory is short; in the second case, one rank also gets the reason.
    private static func window(
        _ host: Communicator, bytes: Int
    ) throws(Failure) -> (window: SharedWindow?, reason: String?) {
        guard host.size > 1 else { return (nil, nil) }
        let total = try host.allReduce(Int64(bytes + 2 * SharedWindow.pageBytes), .sum)
        let reason = SharedMemorySpace().reasonAgainst(bytes: Int(total))
        // Ranks of one host may check at different moments, so they decide together.
        guard try host.allReduce(Int64(reason == nil ? 1 : 0), .minimum) == 1 else {
            return (nil, host.rank == 0 ? reason ?? "its ranks found too little memory" : nil)
        }
        return (try SharedWindow(node: host, bytes: bytes), nil)
    }
}

/// The layout of a rank's part of the window, in bytes. The first rank's part ends with the
/// parameters.
private struct Layout {
    static let counterBytes = SharedWindow.pageBytes
    let elementCount: Int
    let nodeCount: Int
    let sharesParameters: Bool
    let roundsParameters: Bool

    var sumBytes: Int { Self.pages(SumOfSquares.blockCount(elementCount) * 8) }
    var arenaBytes: Int { Self.pages(elementCount * 4) }
    /// The bytes without the parameters.
    var ownBytes: Int { Self.counterBytes + sumBytes + nodeCount * arenaBytes }

    func bytes(ofRank local: Int) -> Int {
        guard sharesParameters, local == 0 else { return ownBytes }
        return ownBytes + arenaBytes + (roundsParameters ? Self.pages(elementCount * 2) : 0)
    }

    private static func pages(_ bytes: Int) -> Int {
        (bytes + SharedWindow.pageBytes - 1) / SharedWindow.pageBytes * SharedWindow.pageBytes
    }
}

/// One rank's part of the window.
private struct Places {
    let counters: UnsafeMutableRawPointer
    let blockSums: Buffer<Double>
    let nodes: [Buffer<Float>]
    let parameters: Buffer<Float>?
    let roundedParameters: Buffer<UInt16>?

    init(base: UnsafeMutableRawBufferPointer, layout: Layout, rank local: Int, owner: SharedWindow)
    {
        precondition(base.count >= layout.bytes(ofRank: local), "the window is large enough")
        guard var next = base.baseAddress else { preconditionFailure("a window has memory") }
        counters = next
        next += Layout.counterBytes
        blockSums = Buffer(
            at: next.assumingMemoryBound(to: Double.self),
            count: SumOfSquares.blockCount(layout.elementCount), owner: owner)
        next += layout.sumBytes
        func arena() -> Buffer<Float> {
            defer { next += layout.arenaBytes }
            return Buffer(
                at: next.assumingMemoryBound(to: Float.self), count: layout.elementCount,
                owner: owner)
        }
        nodes = (0..<layout.nodeCount).map { _ in arena() }
        let hasParameters = layout.sharesParameters && local == 0
        parameters = hasParameters ? arena() : nil
        roundedParameters =
            hasParameters && layout.roundsParameters
            ? Buffer(
                at: next.assumingMemoryBound(to: UInt16.self), count: layout.elementCount,
                owner: owner) : nil
    }
}
