import Tensors

/// A rank's lanes on their way to its whole nodes of the reduction tree: a stack of partial sums.
///
/// Each lane is pushed, then merged with those below it as the tree says. The buffers, about
/// log2(lanes) + 1 of them, are made in the first step and used again in every later one.
struct LaneStack {
    /// The lanes, in the order in which they are pushed.
    let lanes: Range<Int>
    /// The partial sums, oldest first; while a lane is computed, its buffer is the last.
    private(set) var partialSums: [Buffer<Float>] = []

    private let merges: [Int]
    private let elementCount: Int
    private var free: [Buffer<Float>] = []
    private var nextLane: Int

    init(tree: ReductionTree, lanes: Range<Int>, elementCount: Int) {
        self.lanes = lanes
        self.elementCount = elementCount
        merges = tree.mergesAfterEachLane(of: lanes)
        nextLane = lanes.lowerBound
    }

    /// Whether the lane being computed is the rank's last.
    var isInLastLane: Bool { nextLane == lanes.upperBound }

    /// The whole nodes' buffers, in lane order, once the last lane has begun: those in which its
    /// merges end.
    var nodes: ArraySlice<Buffer<Float>> {
        precondition(isInLastLane, "a rank's nodes are known once its last lane has begun")
        return partialSums.dropLast(merges.last ?? 0)
    }

    /// Bytes of all buffers, once the first step has made them.
    var bytes: Int {
        var depth = 0
        var deepest = 0
        for merged in merges {
            depth += 1
            deepest = max(deepest, depth)
            depth -= merged
        }
        return deepest * elementCount * MemoryLayout<Float>.stride
    }

    mutating func reset() {
        free += partialSums
        partialSums.removeAll(keepingCapacity: true)
        nextLane = lanes.lowerBound
    }

    /// A buffer for the gradient of a lane, with arbitrary contents.
    mutating func begin(_ lane: Int) -> Buffer<Float> {
        precondition(lane == nextLane, "a rank goes through its lanes in order")
        nextLane += 1
        let buffer = free.popLast() ?? Buffer<Float>(count: elementCount)
        partialSums.append(buffer)
        return buffer
    }

    /// Adds the newest lane to the sums below it within a range, as the tree says.
    func merge(_ range: Range<Int>, team: ThreadTeam) {
        let lane = nextLane - 1 - lanes.lowerBound
        var top = partialSums.count - 1
        for _ in 0..<merges[lane] {
            let left = partialSums[top - 1].base
            let right = partialSums[top].base
            forEachTile(of: range, team: team) { tile in
                add(
                    left + tile.lowerBound, right + tile.lowerBound, into: left + tile.lowerBound,
                    count: tile.count)
            }
            top -= 1
        }
    }

    /// Frees the buffers that the newest lane's merges have emptied.
    mutating func pop() {
        for _ in 0..<merges[nextLane - 1 - lanes.lowerBound] {
            if let emptied = partialSums.popLast() { free.append(emptied) }
        }
    }
}
