import Compute

/// A rank's lanes on their way to its whole nodes of the reduction tree: a stack of partial sums.
///
/// Each lane is pushed, then merged with those below it as the tree says. Every depth of the stack
/// has its buffer, about log2(lanes) + 1 in all, so the nodes end in the same memory in each step.
struct LaneStack {
    /// The lanes, in the order in which they are pushed.
    let lanes: Range<Int>

    private let wire: WireFormat
    private let merges: [Int]
    private let elementCount: Int
    /// The buffers by depth: first those in which the nodes end.
    private var buffers: [Buffer<Float>]
    /// Where they begin.
    private var bases: [UnsafeMutablePointer<Float>]
    private var depth = 0
    private var nextLane: Int
    /// The sum of squares of the newest lane's gradient, block by block; nil if nobody asks.
    private let laneSquares: Buffer<Double>?

    /// `nodes` are the buffers for the whole nodes in which the lanes end, in lane order.
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

    /// Bytes of all buffers, once the first step has made them.
    var bytes: Int {
        Self.depth(merges) * elementCount * MemoryLayout<Float>.stride
            + (laneSquares?.bytes.count ?? 0)
    }

    /// The sum of squares of the newest lane's gradient, all of which is merged, before it was
    /// added to others: in fp32 within a tile, and the same bits wherever the lane is computed. Nil
    /// unless lanes are measured.
    var sumOfSquares: Double? { laneSquares.map(SumOfSquares.total) }

    /// The buffers that lanes will take on their way to their whole nodes.
    static func bufferCount(lanes: Range<Int>, tree: ReductionTree) -> Int {
        depth(tree.mergesAfterEachLane(of: lanes))
    }

    /// The most partial sums at once.
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

    /// A buffer for the gradient of a lane, with arbitrary contents.
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

    /// Adds the newest lane to the sums below it within a range that begins with a block, as the
    /// tree says.
    ///
    /// `squares`, where given, gets each block's sum of squares of the result.
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

    /// Leaves the buffers that the newest lane's merges have emptied.
    mutating func pop() { depth -= merges[nextLane - 1 - lanes.lowerBound] }
}
