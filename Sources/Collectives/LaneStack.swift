import Compute

/// A stack of partial sums that turns a rank's lanes into its whole nodes of the reduction tree.
///
/// Each lane is pushed, then merged with the sums below it in the tree's order. Every depth of the
/// stack has its own buffer, about log2(lanes) + 1 in all, so the nodes end in the same memory in
/// each step until the lanes are divided differently.
struct LaneStack {
    let schedule: LaneSchedule

    private let wire: WireFormat
    private let elementCount: Int
    /// The buffers by depth; the first ones end as the nodes of the schedule.
    private var buffers: [Buffer<Float>]
    /// The first elements of the buffers.
    private var bases: [UnsafeMutablePointer<Float>]
    private var depth = 0
    /// The number of lanes that have begun in this step.
    private var begun = 0
    /// The sum of squares of the newest lane's gradient, by block; nil unless lanes are measured.
    private let laneSquares: Buffer<Double>?

    /// Creates a stack whose first buffers are the given ones; it creates the others when it first
    /// needs them.
    init(
        _ schedule: LaneSchedule, elementCount: Int, buffers: [Buffer<Float>], wire: WireFormat,
        measuresLanes: Bool
    ) {
        precondition(buffers.count >= schedule.nodes.count, "one buffer for each node")
        self.schedule = schedule
        self.elementCount = elementCount
        self.wire = wire
        self.buffers = Array(buffers.prefix(schedule.bufferCount))
        bases = self.buffers.map(\.base)
        laneSquares = measuresLanes ? Buffer(count: SumOfSquares.blockCount(elementCount)) : nil
    }

    /// Whether the lane being computed is the rank's last.
    var isInLastLane: Bool { begun == schedule.lanes.count }

    /// The size in bytes of the sums of squares.
    var bookkeepingBytes: Int { laneSquares?.bytes.count ?? 0 }

    /// The sum of squares of the newest lane's gradient before it was added to others, valid once
    /// all of it is merged; nil unless lanes are measured. It is in fp32 within a tile, and has the
    /// same bits wherever the lane is computed.
    var sumOfSquares: Double? { laneSquares.map(SumOfSquares.total) }

    mutating func reset() {
        depth = 0
        begun = 0
    }

    /// Returns a buffer for the gradient of a lane, with arbitrary contents.
    mutating func begin(_ lane: Int) -> Buffer<Float> {
        precondition(lane == schedule.lanes[begun], "a rank computes its lanes in this order")
        begun += 1
        if depth == buffers.count {
            let buffer = Buffer<Float>(count: elementCount)
            buffers.append(buffer)
            bases.append(buffer.base)
        }
        depth += 1
        return buffers[depth - 1]
    }

    /// Adds the newest lane to the sums below it, in the tree's order, within a range that begins
    /// at the start of a block.
    ///
    /// `squares`, if given, receives each block's sum of squares of the result.
    func merge(_ range: Range<Int>, team: ThreadTeam, squares: Buffer<Double>? = nil) {
        let merged = schedule.merges[begun - 1]
        let sums = bases
        let laneSquares = laneSquares
        let measuresLanes = laneSquares != nil
        let depth = depth
        let wire = wire
        forEachBlock(of: range, team: team) { block, elements in
            var accumulator = SumOfSquares.Accumulator()
            var ofLane = 0.0
            forEachTile(of: elements) { tile in
                let offset = tile.lowerBound
                var top = depth - 1
                if wire == .bf16 { roundToBFloat16(sums[top] + offset, count: tile.count) }
                if measuresLanes {
                    ofLane += SumOfSquares.inSinglePrecision(sums[top] + offset, count: tile.count)
                }
                for _ in 0..<merged {
                    let left = sums[top - 1] + offset
                    add(left, sums[top] + offset, into: left, count: tile.count, wire: wire)
                    top -= 1
                }
                if squares != nil { accumulator.add(sums[top] + offset, count: tile.count) }
            }
            squares?.base[block] = accumulator.total
            laneSquares?.base[block] = ofLane
        }
    }

    /// Releases the buffers that the newest lane's merges have emptied.
    mutating func pop() { depth -= schedule.merges[begun - 1] }
}
