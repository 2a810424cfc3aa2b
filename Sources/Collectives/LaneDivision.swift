import Recipes

/// The division of the lanes among ranks: each rank computes a contiguous range, in rank order.
///
/// The division decides where a lane is computed, never what is computed.
package struct LaneDivision: Sendable, Equatable {
    /// The first lane of each rank, followed by the number of lanes.
    private let boundaries: [Int]

    /// Creates a division from the first lane of each rank, followed by the number of lanes.
    package init(boundaries: [Int]) {
        precondition(
            boundaries.count >= 2 && boundaries[0] == 0
                && zip(boundaries, boundaries.dropFirst()).allSatisfy(<),
            "every rank has a lane")
        self.boundaries = boundaries
    }

    /// Creates the equal division, in which rank r of P has the lanes from r L / P up to
    /// (r + 1) L / P.
    package init(equal laneCount: Int, among ranks: Int) {
        self.init(boundaries: (0...ranks).map { $0 * laneCount / ranks })
    }

    package var rankCount: Int { boundaries.count - 1 }
    package var laneCount: Int { boundaries[rankCount] }

    /// Returns the lanes of a rank.
    package subscript(rank: Int) -> Range<Int> { boundaries[rank]..<boundaries[rank + 1] }

    /// The largest number of lanes that a rank has.
    package var mostLanes: Int { (0..<rankCount).reduce(0) { max($0, self[$1].count) } }

    /// Returns the largest number of whole nodes that a rank has.
    package func mostNodes(in tree: ReductionTree) -> Int {
        (0..<rankCount).reduce(0) { max($0, tree.shape(of: self[$1]).nodes) }
    }

    /// The largest number of lanes that a rank may have: twice those of the equal division.
    package var laneLimit: Int {
        min(laneCount - rankCount + 1, 2 * ((laneCount + rankCount - 1) / rankCount))
    }
}

/// The order in which a rank computes its lanes, and the merges that make them whole nodes of the
/// reduction tree.
///
/// The larger nodes come first, which takes the fewest buffers: a node of n lanes takes up to
/// log2(n) + 1 buffers until it is whole, and one from then on.
package struct LaneSchedule {
    /// The whole nodes that cover the lanes, in the order in which they are computed.
    package let nodes: [Range<Int>]
    /// The lanes in the order in which they are computed.
    package let lanes: [Int]
    /// For each of `lanes`, the number of merges of the two newest partial sums that follow it.
    package let merges: [Int]

    package init(tree: ReductionTree, lanes range: Range<Int>) {
        nodes = tree.wholeNodes(covering: range).sorted {
            ($1.count, $0.lowerBound) < ($0.count, $1.lowerBound)
        }
        lanes = nodes.flatMap { Array($0) }
        merges = nodes.flatMap(tree.mergesAfterEachLane)
    }

    /// The size in bytes of a lane's place in the order and of its number of merges.
    package static var bytesPerLane: Int { 2 * MemoryLayout<Int>.stride }

    /// The number of buffers that the lanes need until they are whole nodes.
    package var bufferCount: Int {
        var depth = 0
        var deepest = 0
        for merged in merges {
            depth += 1
            deepest = max(deepest, depth)
            depth -= merged
        }
        return deepest
    }
}

extension ReductionTree {
    /// Returns the equal division of the lanes among ranks.
    package func equalDivision(among ranks: Int) -> LaneDivision {
        LaneDivision(equal: laneCount, among: ranks)
    }

    /// Returns the number of whole nodes that cover lanes, and the number of buffers in which a rank
    /// sums them; the same as those of their `LaneSchedule`, but without allocating memory.
    package func shape(of lanes: Range<Int>) -> (nodes: Int, buffers: Int) {
        // The number of nodes by their depth in buffers.
        var counts = SIMD64<UInt8>()
        func count(_ node: Range<Int>) {
            let covered = node.clamped(to: lanes)
            if covered.isEmpty { return }
            if covered == node {
                let depth = Int.bitWidth - node.count.leadingZeroBitCount
                counts[depth] += 1
                return
            }
            let middle = Self.split(node)
            count(node.lowerBound..<middle)
            count(middle..<node.upperBound)
        }
        count(0..<laneCount)
        var nodes = 0
        var buffers = 0
        for depth in counts.indices.reversed() where counts[depth] > 0 {
            nodes += Int(counts[depth])
            buffers = max(buffers, nodes - 1 + depth)
        }
        return (nodes, buffers)
    }
}
