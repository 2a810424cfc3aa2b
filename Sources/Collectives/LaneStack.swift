import Compute

/// A stack of partial sums that turns a rank's lanes into its whole nodes of the reduction tree.
///
/// Each lane is pushed, then merged with the sums below it in the tree's order. Every depth of the
/// stack has its own buffer, about log2(lanes) + 1 in all, so the nodes end in the same memory in
/// each step.
struct LaneStack {
    /// The lanes, in the order in which they are pushed.
    let lanes: Range<Int>

    private let wire: WireFormat
    private let merges: [Int]
    private let elementCount: Int
    /// The buffers by depth; the first ones hold the finished nodes.
    private var buffers: [Buffer<Float>]
    /// The first elements of the buffers.
    private var bases: [UnsafeMutablePointer<Float>]
    private var depth = 0
    private var nextLane: Int
    /// The sum of squares of the newest lane's gradient, by block; nil unless lanes are measured.
    private let laneSquares: Buffer<Double>?

    /// Creates a stack whose whole nodes end in `nodes`, in lane order.
    init(
        tree: ReductionTree, lanes: Range<Int>, elementCount: Int, nodes: [Buffer<Float>],
        wire: WireFormat, measuresLanes: Bool
    ) {
        precondition(
            nodes.count == tree.wholeNodes(covering: lanes).count, "one buffer for each node")
        self.lanes = lanes
        self.elementCount = elementCount
        self.wire = wire
        buffers = nodes
        bases = nodes.map(\.base)
        merges = tree.mergesAfterEachLane(of: lanes)
        nextLane = lanes.lowerBound
        laneSquares = measuresLanes ? Buffer(count: SumOfSquares.blockCount(elementCount)) : nil
    }

    /// Whether the lane being computed is the rank's last.
    var isInLastLane: Bool { nextLane == lanes.upperBound }

    /// The size of all buffers in bytes, once the first step has created them.
    var bytes: Int {
        Self.depth(merges) * elementCount * MemoryLayout<Float>.stride
            + (laneSquares?.bytes.count ?? 0)
    }

    /// The sum of squares of the newest lane's gradient before it was added to others, valid once
    /// all of it is merged; nil unless lanes are measured. It is in fp32 within a tile, and has the
    /// same bits wherever the lane is computed.
    var sumOfSquares: Double? { laneSquares.map(SumOfSquares.total) }

    /// Returns the number of buffers that lanes need until they are whole nodes.
    static func bufferCount(lanes: Range<Int>, tree: ReductionTree) -> Int {
        depth(tree.mergesAfterEachLane(of: lanes))
    }

    /// Returns the largest number of partial sums at once.
    private static func depth(_ merges: [Int]) -> Int {
        var depth = 0
        var deepest = 0
        for merged in merges {
            depth += 1
            deepest = max(deepest, depth)
            depth -= merged
        }
        return deepest
    }

    mutating func reset() {
        depth = 0
        nextLane = lanes.lowerBound
    }

    /// Returns a buffer for the gradient of a lane, with arbitrary contents.
    mutating func begin(_ lane: Int) -> Buffer<Float> {
        precondition(lane == nextLane, "a rank goes through its lanes in order")
        nextLane += 1
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
        let merged = merges[nextLane - 1 - lanes.lowerBound]
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
    mutating func pop() { depth -= merges[nextLane - 1 - lanes.lowerBound] }
}
