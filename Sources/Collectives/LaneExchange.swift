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
    /// The settlement of a checkpoint that this rank has written in the background.
    package static let checkpointWritten = RankRequests(rawValue: 4)
}

/// The seconds that a rank spent on the parts of a step, for the balance of the lanes.
package struct RankLoad: BitwiseCopyable, Sendable, Equatable {
    /// The seconds of the lanes' own work: data, forward and backward.
    package var lanes = 0.0
    /// The seconds of other work, most of which does not depend on the number of lanes.
    package var other = 0.0
    /// The seconds of waiting for other ranks.
    package var waiting = 0.0

    package init(lanes: Double = 0, other: Double = 0, waiting: Double = 0) {
        self.lanes = lanes
        self.other = other
        self.waiting = waiting
    }

    package mutating func add(_ load: RankLoad) {
        lanes += load.lanes
        other += load.other
        waiting += load.waiting
    }

    package mutating func divide(by count: Double) {
        lanes /= count
        other /= count
        waiting /= count
    }
}

/// The values that all ranks share after an exchange.
package struct LaneTotals<Statistics: LaneStatistics>: Sendable {
    /// The lanes' statistics, in lane order.
    package let lanes: [Statistics]
    /// The sum along the reduction tree, with the same bits on every rank and for every rank count.
    package let sum: Statistics
    /// The ranks' requests, in rank order.
    package let requests: [RankRequests]
    /// The ranks' loads, in rank order.
    package let loads: [RankLoad]

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
    /// The number of lanes for which a message has room.
    private let room: Int
    private let message: Buffer<UInt8>
    private let all: Buffer<UInt8>
    private var lanes: [Statistics] = []
    private var allRequests: [RankRequests] = []
    private var loads: [RankLoad] = []

    /// Creates an exchange between the ranks of a communicator, and allocates its memory.
    package init(communicator: Communicator, tree: ReductionTree) {
        self.communicator = communicator
        self.tree = tree
        let size = communicator.size
        room = tree.equalDivision(among: size).laneLimit
        message = Buffer(count: Self.messageBytes(lanes: room))
        all = Buffer(count: message.count * size)
        lanes.reserveCapacity(tree.laneCount)
        allRequests.reserveCapacity(size)
        loads.reserveCapacity(size)
    }

    private static var loadPlace: Int { MemoryLayout<UInt64>.stride }
    private static var header: Int { loadPlace + MemoryLayout<RankLoad>.stride }

    private static func messageBytes(lanes: Int) -> Int {
        header + lanes * MemoryLayout<Statistics>.stride
    }

    /// Returns the size in bytes of an exchange of `laneCount` lanes among `size` ranks.
    package static func bytes(laneCount: Int, size: Int) -> Int {
        messageBytes(lanes: LaneDivision(equal: laneCount, among: size).laneLimit) * (size + 1)
            + laneCount * MemoryLayout<Statistics>.stride
            + size * (MemoryLayout<RankRequests>.stride + MemoryLayout<RankLoad>.stride)
    }

    /// Gathers the statistics of all lanes, and the ranks' requests and loads.
    ///
    /// - Parameters:
    ///   - own: the statistics of this rank's lanes, in lane order.
    ///   - division: the division of the lanes, the same on all ranks.
    package func exchange(
        _ own: [Statistics], in division: LaneDivision, requests: RankRequests = [],
        load: RankLoad = RankLoad()
    ) throws(Failure) -> LaneTotals<Statistics> {
        precondition(
            own.count == division[communicator.rank].count && own.count <= room,
            "one value for each of the rank's lanes")
        message.bytes.storeBytes(of: requests.rawValue, as: UInt64.self)
        message.bytes.storeBytes(of: load, toByteOffset: Self.loadPlace, as: RankLoad.self)
        own.withUnsafeBytes { values in
            UnsafeMutableRawBufferPointer(rebasing: message.bytes[Self.header...])
                .copyMemory(from: values)
        }
        // Equal messages need only one collective.
        let bytes = Self.messageBytes(lanes: division.mostLanes)
        try communicator.allGather(
            UnsafeRawBufferPointer(rebasing: message.bytes[..<bytes]),
            into: UnsafeMutableRawBufferPointer(
                rebasing: all.bytes[..<(bytes * communicator.size)]))
        lanes.removeAll(keepingCapacity: true)
        allRequests.removeAll(keepingCapacity: true)
        loads.removeAll(keepingCapacity: true)
        for rank in 0..<communicator.size {
            var place = rank * bytes
            let request = all.bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            allRequests.append(RankRequests(rawValue: request))
            loads.append(
                all.bytes.loadUnaligned(
                    fromByteOffset: place + Self.loadPlace, as: RankLoad.self))
            place += Self.header
            for _ in division[rank] {
                lanes.append(
                    all.bytes.loadUnaligned(fromByteOffset: place, as: Statistics.self))
                place += MemoryLayout<Statistics>.stride
            }
        }
        return LaneTotals(
            lanes: lanes, sum: tree.sum(lanes, by: +), requests: allRequests, loads: loads)
    }
}
