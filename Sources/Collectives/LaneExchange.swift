import Failures
import MPI

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
package struct LaneExchange<Statistics: LaneStatistics>: Sendable {
    private let communicator: Communicator
    private let tree: ReductionTree

    package init(communicator: Communicator, tree: ReductionTree) {
        self.communicator = communicator
        self.tree = tree
    }

    /// Gathers the statistics of all lanes; `own` are those of this rank's lanes, in order.
    package func exchange(
        _ own: [Statistics], requests: RankRequests = []
    ) throws(Failure) -> LaneTotals<Statistics> {
        let size = communicator.size
        precondition(
            own.count == tree.lanes(ofRank: communicator.rank, size: size).count,
            "one value for each of the rank's lanes")
        if size == 1 {
            return LaneTotals(lanes: own, sum: tree.sum(own, by: +), requests: [requests])
        }
        // Ranks may differ by one lane; equal messages need only one collective.
        let slots = (tree.laneCount + size - 1) / size
        let stride = MemoryLayout<Statistics>.stride
        let header = MemoryLayout<UInt64>.stride
        var message = [UInt8](repeating: 0, count: header + slots * stride)
        message.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: requests.rawValue, as: UInt64.self)
            own.withUnsafeBytes { bytes[header...].copyBytes(from: $0) }
        }
        let all = try communicator.allGather(message)
        var lanes: [Statistics] = []
        var allRequests: [RankRequests] = []
        all.withUnsafeBytes { bytes in
            for rank in 0..<size {
                let start = rank * message.count
                allRequests.append(
                    RankRequests(
                        rawValue: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)))
                for slot in 0..<tree.lanes(ofRank: rank, size: size).count {
                    lanes.append(
                        bytes.loadUnaligned(
                            fromByteOffset: start + header + slot * stride, as: Statistics.self))
                }
            }
        }
        return LaneTotals(lanes: lanes, sum: tree.sum(lanes, by: +), requests: allRequests)
    }
}
