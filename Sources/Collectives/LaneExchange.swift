import Compute
import MPI
import Support

/// The contribution of one lane to a step's totals. It stores a fixed number of Doubles and nothing
/// else.
///
/// `+` adds field by field; the totals are taken along the reduction tree.
package protocol LaneStatistics: BitwiseCopyable, Sendable {
    static func + (left: Self, right: Self) -> Self
}

/// The requests of a rank to all ranks at the end of a step.
package struct RankRequests: OptionSet, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// A checkpoint at the end of this step.
    package static let checkpoint = RankRequests(rawValue: 1)
    /// The end of the run after this step.
    package static let stop = RankRequests(rawValue: 2)
}

/// The values that all ranks share after an exchange.
package struct LaneTotals<Statistics: LaneStatistics>: Sendable {
    /// The lanes' statistics, in lane order.
    package let lanes: [Statistics]
    /// The sum along the reduction tree, with the same bits on every rank and for every rank count.
    package let sum: Statistics
    /// The ranks' requests, in rank order.
    package let requests: [RankRequests]

    /// The requests that at least one rank makes.
    package var anyRequest: RankRequests { requests.reduce([]) { $0.union($1) } }
}

/// The small exchange of a step, in which one `MPI_Allgather` sends every rank's lane statistics to
/// all ranks.
///
/// Its memory is allocated once, so an exchange allocates nothing.
package final class LaneExchange<Statistics: LaneStatistics> {
    private let communicator: Communicator
    private let tree: ReductionTree
    private let message: Buffer<UInt8>
    private let all: Buffer<UInt8>
    private var lanes: [Statistics] = []
    private var allRequests: [RankRequests] = []

    /// Creates an exchange between the ranks of a communicator, and allocates its memory.
    package init(communicator: Communicator, tree: ReductionTree) {
        self.communicator = communicator
        self.tree = tree
        let size = communicator.size
        message = Buffer(count: Self.messageBytes(laneCount: tree.laneCount, size: size))
        all = Buffer(count: message.count * size)
        lanes.reserveCapacity(tree.laneCount)
        allRequests.reserveCapacity(size)
    }

    private static var header: Int { MemoryLayout<UInt64>.stride }

    private static func messageBytes(laneCount: Int, size: Int) -> Int {
        // Ranks may differ by one lane; equal messages need only one collective.
        header + (laneCount + size - 1) / size * MemoryLayout<Statistics>.stride
    }

    /// Returns the size in bytes of an exchange of `laneCount` lanes among `size` ranks.
    package static func bytes(laneCount: Int, size: Int) -> Int {
        messageBytes(laneCount: laneCount, size: size) * (size + 1)
            + laneCount * MemoryLayout<Statistics>.stride
            + size * MemoryLayout<RankRequests>.stride
    }

    /// Gathers the statistics of all lanes; `own` holds those of this rank's lanes, in order.
    package func exchange(
        _ own: [Statistics], requests: RankRequests = []
    ) throws(Failure) -> LaneTotals<Statistics> {
        precondition(
            own.count == tree.lanes(ofRank: communicator.rank, size: communicator.size).count,
            "one value for each of the rank's lanes")
        message.bytes.storeBytes(of: requests.rawValue, as: UInt64.self)
        own.withUnsafeBytes { values in
            UnsafeMutableRawBufferPointer(rebasing: message.bytes[Self.header...])
                .copyMemory(from: values)
        }
        try communicator.allGather(UnsafeRawBufferPointer(message.bytes), into: all.bytes)
        lanes.removeAll(keepingCapacity: true)
        allRequests.removeAll(keepingCapacity: true)
        for rank in 0..<communicator.size {
            var place = rank * message.count
            let request = all.bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            allRequests.append(RankRequests(rawValue: request))
            place += Self.header
            for _ in tree.lanes(ofRank: rank, size: communicator.size) {
                lanes.append(
                    all.bytes.loadUnaligned(fromByteOffset: place, as: Statistics.self))
                place += MemoryLayout<Statistics>.stride
            }
        }
        return LaneTotals(lanes: lanes, sum: tree.sum(lanes, by: +), requests: allRequests)
    }
}
