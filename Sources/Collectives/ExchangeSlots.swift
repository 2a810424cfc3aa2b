import Compute

/// Memory for the messages of the buckets that are under way between hosts.
///
/// On the fp32 wire, nodes and sums are sent and received in place, so only other hosts' nodes need
/// memory here. On the bf16 wire, every message also needs memory for its packed form.
struct ExchangeSlots {
    private let wire: WireFormat
    private let longestPart: Int
    private let longestSegment: Int
    private let ownNodes: Int
    private let foreignNodes: Int
    /// The other hosts' nodes, by slot.
    private let values: Buffer<Float>
    /// The packed values by slot: own nodes of the segment, other hosts' nodes of the part, the
    /// part's sum, and the segment's sums.
    private let packed: Buffer<UInt16>
    private let packedStride: Int

    init(
        count: Int, foreignNodes: Int, ownNodes: Int, partition: BucketPartition, wire: WireFormat
    ) {
        self.wire = wire
        self.ownNodes = ownNodes
        self.foreignNodes = foreignNodes
        longestPart = partition.longestPart
        longestSegment = partition.longestSegment
        values = Buffer(count: count * foreignNodes * longestPart)
        packedStride = Self.packedStride(foreignNodes, ownNodes, partition, wire)
        packed = Buffer(count: count * packedStride)
    }

    var bytes: Int { values.bytes.count + packed.bytes.count }

    /// Returns the size of the memory for some slots, without allocating it.
    static func bytes(
        count: Int, foreignNodes: Int, ownNodes: Int, partition: BucketPartition, wire: WireFormat
    ) -> Int {
        count * foreignNodes * partition.longestPart * MemoryLayout<Float>.stride + count
            * packedStride(foreignNodes, ownNodes, partition, wire) * MemoryLayout<UInt16>.stride
    }

    private static func packedStride(
        _ foreignNodes: Int, _ ownNodes: Int, _ partition: BucketPartition, _ wire: WireFormat
    ) -> Int {
        guard wire == .bf16 else { return 0 }
        return (ownNodes + 1) * partition.longestSegment
            + (foreignNodes + 1) * partition.longestPart
    }

    /// Returns another host's node of this host's part, valid once it is unpacked.
    func foreignValues(_ node: Int, slot: Int) -> UnsafeMutablePointer<Float> {
        values.base + (slot * foreignNodes + node) * longestPart
    }

    /// Returns the memory that receives another host's node.
    func foreign(_ node: Int, slot: Int, count: Int) -> UnsafeMutableRawBufferPointer {
        wire == .fp32
            ? bytes(foreignValues(node, slot: slot), count)
            : bytes(packedForeign(node, slot), count)
    }

    /// Unpacks elements of another host's node, counted from the start of the part.
    func unpackForeign(_ node: Int, slot: Int, range: Range<Int>) {
        guard wire == .bf16 else { return }
        unpackBFloat16(
            packedForeign(node, slot) + range.lowerBound,
            into: foreignValues(node, slot: slot) + range.lowerBound, count: range.count)
    }

    /// Returns the message for an own node, `offset` elements into the segment.
    func outgoing(
        _ values: UnsafeMutablePointer<Float>, count: Int, node: Int, offset: Int, slot: Int,
        team: ThreadTeam
    ) -> UnsafeRawBufferPointer {
        let place = node * longestSegment + offset
        return message(values, count, packedAt: slot * packedStride + place, team)
    }

    /// Returns the message for the sum of the own part.
    func outgoingSum(
        _ values: UnsafeMutablePointer<Float>, count: Int, slot: Int, team: ThreadTeam
    ) -> UnsafeRawBufferPointer {
        let place = ownNodes * longestSegment + foreignNodes * longestPart
        return message(values, count, packedAt: slot * packedStride + place, team)
    }

    /// Returns the message for values, which the bf16 wire packs at an index of `packed`.
    private func message(
        _ values: UnsafeMutablePointer<Float>, _ count: Int, packedAt place: Int,
        _ team: ThreadTeam
    ) -> UnsafeRawBufferPointer {
        guard wire == .bf16 else { return UnsafeRawBufferPointer(bytes(values, count)) }
        let target = packed.base + place
        forEachBlock(of: 0..<count, team: team) { _, elements in
            packBFloat16(
                values + elements.lowerBound, into: target + elements.lowerBound,
                count: elements.count)
        }
        return UnsafeRawBufferPointer(bytes(target, count))
    }

    /// Returns the memory that receives another part's sum, `offset` elements into the segment.
    func incomingSum(
        _ values: UnsafeMutablePointer<Float>, count: Int, offset: Int, slot: Int
    ) -> UnsafeMutableRawBufferPointer {
        wire == .fp32 ? bytes(values, count) : bytes(packedSums(slot) + offset, count)
    }

    /// Unpacks elements of another part's sum, `offset` elements into the segment.
    func unpackSum(
        into values: UnsafeMutablePointer<Float>, count: Int, offset: Int, slot: Int
    ) {
        if wire == .bf16 { unpackBFloat16(packedSums(slot) + offset, into: values, count: count) }
    }

    private func packedForeign(_ node: Int, _ slot: Int) -> UnsafeMutablePointer<UInt16> {
        packed.base + slot * packedStride + ownNodes * longestSegment + node * longestPart
    }

    private func packedSums(_ slot: Int) -> UnsafeMutablePointer<UInt16> {
        packed.base + slot * packedStride + ownNodes * longestSegment
            + (foreignNodes + 1) * longestPart
    }

    private func bytes<Element: BitwiseCopyable>(
        _ start: UnsafeMutablePointer<Element>, _ count: Int
    ) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: start, count: count))
    }
}
