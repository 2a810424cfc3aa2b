import Compute
import MPI
import Support

/// The memory of the parameters, which the ranks of a host share if the optimizer is sharded, and
/// the way in which rank 0's values reach all ranks.
package final class HostParameters {
    /// The arena in fp32, zeroed at first.
    package let values: Buffer<Float>
    /// The memory of a copy that is rounded for products; nil unless requested.
    package let rounded: Buffer<UInt16>?
    /// Whether no rank before this one uses the same memory.
    package let isFirst: Bool

    /// Whether other ranks use the same memory.
    package var isShared: Bool { host != nil }

    /// The part of the arena that this rank sends and rounds for all ranks that share it.
    private let ownPart: Range<Int>
    /// The ranks that share the memory; nil if this rank has its own.
    private let host: Communicator?
    /// The ranks that receive this part from rank 0's host; nil if there are no others.
    private let receivers: Communicator?

    /// Creates memory for this rank alone.
    package init(elementCount: Int, isRounded: Bool, communicator: Communicator) {
        values = Buffer(count: elementCount)
        rounded = isRounded ? Buffer(count: elementCount) : nil
        isFirst = true
        ownPart = 0..<elementCount
        host = nil
        receivers = communicator.size > 1 ? communicator : nil
    }

    /// Uses the memory of a host. Collective: every rank must call this.
    init(_ memory: HostMemory, communicator: Communicator) throws(Failure) {
        guard let values = memory.parameters else {
            preconditionFailure("the memory was requested for parameters")
        }
        self.values = values
        rounded = memory.roundedParameters
        let topology = memory.topology
        isFirst = topology.localRank == 0
        host = memory.host
        ownPart =
            topology.ownSegment.map {
                Self.part($0, of: topology.segmentCount, elementCount: values.count)
            } ?? 0..<0
        receivers =
            topology.hosts.count > 1 && topology.ownSegment != nil
            ? try communicator.group(of: topology.hosts.map { $0[topology.localRank] }) : nil
    }

    /// Returns one of `count` parts of an arena, of about the same size.
    static func part(_ index: Int, of count: Int, elementCount: Int) -> Range<Int> {
        let units = elementCount / ArenaLayout.alignment
        func boundary(_ index: Int) -> Int { units * index / count * ArenaLayout.alignment }
        return boundary(index)..<boundary(index + 1)
    }

    /// Sends rank 0's values to all ranks, which then round them. Collective: every rank must call
    /// this.
    ///
    /// - Parameter round: rounds a range of the values.
    package func send(round: (Range<Int>) -> Void) throws(Failure) {
        try host?.barrier()
        try receivers?.broadcast(
            UnsafeMutableRawBufferPointer(
                rebasing: values.bytes[ownPart.lowerBound * 4..<ownPart.upperBound * 4]))
        round(ownPart)
        try host?.barrier()
    }
}
