import Compute
import MPI
import Support

/// What one lane contributes to a step's totals: a fixed number of stored Doubles and nothing else.
///
/// `+` adds field by field; the totals are taken along the reduction tree.
package protocol LaneStatistics: BitwiseCopyable, Sendable {
    static func + (left: Self, right: Self) -> Self
}

/// What a rank asks of all ranks at the end of a step.
package struct RankRequests: OptionSet, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// A checkpoint at the end of this step.
    package static let checkpoint = RankRequests(rawValue: 1)
    /// The end of the run after this step.
    package static let stop = RankRequests(rawValue: 2)
}

/// What all ranks know, alike, after an exchange.
package struct LaneTotals<Statistics: LaneStatistics>: Sendable {
    /// The lanes' statistics, in lane order.
    package let lanes: [Statistics]
    /// Their sum along the reduction tree: the same bits on every rank and every rank count.
    package let sum: Statistics
    /// The ranks' requests, in rank order.
    package let requests: [RankRequests]

    /// What any rank asks for.
    package var anyRequest: RankRequests { requests.reduce([]) { $0.union($1) } }
}

/// The small exchange of a step: every rank tells every other its lanes' statistics, by one
/// `MPI_Allgather`.
///
/// Its memory is made once, so an exchange allocates nothing.
package final class LaneExchange<Statistics: LaneStatistics> {
    private let communicator: Communicator
    private let tree: ReductionTree
    /// The ranks' requests and lanes in a message, which is as long for all ranks.
    private let slots: Int
    private let message: Buffer<UInt8>
    private let all: Buffer<UInt8>
    private var lanes: [Statistics] = []
    private var allRequests: [RankRequests] = []

    package init(communicator: Communicator, tree: ReductionTree) {
        self.communicator = communicator
        self.tree = tree
        let size = communicator.size
        // Ranks may differ by one lane; equal messages need only one collective.
        slots = (tree.laneCount + size - 1) / size
        let bytes = Self.header + slots * MemoryLayout<Statistics>.stride
        message = Buffer(count: bytes)
        all = Buffer(count: bytes * size)
        lanes.reserveCapacity(tree.laneCount)
        allRequests.reserveCapacity(size)
    }

    private static var header: Int { MemoryLayout<UInt64>.stride }

    /// Returns the memory in bytes of an exchange of `laneCount` lanes among `size` ranks.
    package static func bytes(laneCount: Int, size: Int) -> Int {
        let slots = (laneCount + size - 1) / size
        let message = header + slots * MemoryLayout<Statistics>.stride
        return message * (size + 1) + laneCount * MemoryLayout<Statistics>.stride
            + size * MemoryLayout<RankRequests>.stride
    }

    /// Gathers the statistics of all lanes; `own` are those of this rank's lanes, in order.
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
        for rank in 0..<communicator.size { take(rank) }
        return LaneTotals(lanes: lanes, sum: tree.sum(lanes, by: +), requests: allRequests)
    }

    /// Reads what a rank has told.
    private func take(_ rank: Int) {
        let start = rank * message.count
        let bytes = UnsafeRawBufferPointer(all.bytes)
        allRequests.append(
            RankRequests(rawValue: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)))
        for slot in 0..<tree.lanes(ofRank: rank, size: communicator.size).count {
            lanes.append(
                bytes.loadUnaligned(
                    fromByteOffset: start + Self.header + slot * MemoryLayout<Statistics>.stride,
                    as: Statistics.self))
        }
    }
}
