import Recipes

/// The one binary tree over a run's lanes, along which every sum over the batch is taken.
///
/// Lanes [a, b) are the sum of [a, m) and [m, b), left before right, where m - a is the largest
/// power of two below b - a. The tree depends on the number of lanes alone; which ranks hold which
/// lanes changes where an addition runs, never what is added to what.
package struct ReductionTree: Sendable, Equatable {
    /// The number of leaves.
    package let laneCount: Int

    package init(laneCount: Int) {
        precondition(laneCount >= 1, "a reduction tree has at least one lane")
        self.laneCount = laneCount
    }

    /// Where the node over these lanes (two or more) splits into its children.
    package static func split(_ lanes: Range<Int>) -> Int {
        precondition(lanes.count >= 2, "a leaf does not split")
        // The largest power of two at most count - 1.
        return lanes.lowerBound + 1 << (Int.bitWidth - 1 - (lanes.count - 1).leadingZeroBitCount)
    }

    /// The lanes that a rank owns: from r L / P up to (r + 1) L / P.
    package func lanes(ofRank rank: Int, size: Int) -> Range<Int> {
        rank * laneCount / size..<(rank + 1) * laneCount / size
    }

    /// The fewest whole nodes of the tree that together cover these lanes, in order.
    package func wholeNodes(covering lanes: Range<Int>) -> [Range<Int>] {
        wholeNodes(covering: [lanes])
    }

    /// The fewest whole nodes that together cover the lanes of some ranges, which overlap nowhere.
    package func wholeNodes(covering ranges: [Range<Int>]) -> [Range<Int>] {
        var nodes: [Range<Int>] = []
        collectNodes(0..<laneCount, covering: ranges, into: &nodes)
        return nodes
    }

    private func collectNodes(
        _ node: Range<Int>, covering ranges: [Range<Int>], into nodes: inout [Range<Int>]
    ) {
        let covered = ranges.reduce(0) { $0 + node.clamped(to: $1).count }
        if covered == 0 { return }
        if covered == node.count {
            nodes.append(node)
        } else {
            let middle = Self.split(node)
            collectNodes(node.lowerBound..<middle, covering: ranges, into: &nodes)
            collectNodes(middle..<node.upperBound, covering: ranges, into: &nodes)
        }
    }

    /// How many merges of the two newest partial sums follow each of these lanes.
    ///
    /// A rank that pushes each lane on a stack and then merges the two topmost entries, left plus
    /// right, this many times, ends with the range's whole nodes on the stack.
    package func mergesAfterEachLane(of lanes: Range<Int>) -> [Int] {
        var merges = [Int](repeating: 0, count: lanes.count)
        // A merge makes a node, and can happen once the node's last lane is there.
        func count(_ node: Range<Int>) {
            guard node.count >= 2 else { return }
            merges[node.upperBound - 1 - lanes.lowerBound] += 1
            let middle = Self.split(node)
            count(node.lowerBound..<middle)
            count(middle..<node.upperBound)
        }
        for node in wholeNodes(covering: lanes) { count(node) }
        return merges
    }

    /// The additions that finish the tree from whole nodes covering all lanes, in lane order.
    ///
    /// Each adds node `right` to node `left`, by index into `nodes`; the last result is in node 0.
    package func additions(joining nodes: [Range<Int>]) -> [(left: Int, right: Int)] {
        let additions = additions(joining: nodes, into: 0..<laneCount)
        precondition(
            nodes.reduce(0) { $0 + $1.count } == laneCount, "the nodes cover the lanes once")
        return additions
    }

    /// The additions that make one node of the tree from smaller ones in lane order, of which
    /// those that lie in it cover it.
    ///
    /// Each adds node `right` to node `left`, by index into `nodes`; the last result is in the
    /// first node that lies in `target`.
    package func additions(
        joining nodes: [Range<Int>], into target: Range<Int>
    ) -> [(left: Int, right: Int)] {
        var additions: [(left: Int, right: Int)] = []
        var next = nodes.firstIndex { $0.lowerBound == target.lowerBound } ?? nodes.count
        func join(_ node: Range<Int>) -> Int {
            if nodes[next] == node {
                next += 1
                return next - 1
            }
            let middle = Self.split(node)
            let left = join(node.lowerBound..<middle)
            let right = join(middle..<node.upperBound)
            additions.append((left, right))
            return left
        }
        _ = join(target)
        return additions
    }

    /// The sum of one value per lane in the tree's order.
    package func sum<Value>(_ leaves: [Value], by add: (Value, Value) -> Value) -> Value {
        precondition(leaves.count == laneCount, "one value per lane")
        func sum(_ node: Range<Int>) -> Value {
            if node.count == 1 { return leaves[node.lowerBound] }
            let middle = Self.split(node)
            return add(sum(node.lowerBound..<middle), sum(middle..<node.upperBound))
        }
        return sum(0..<laneCount)
    }

    /// The sum of one number per lane in the tree's order.
    package func sum(_ leaves: [Double]) -> Double { sum(leaves, by: +) }
}

extension LaneConfiguration {
    /// The tree along which the lanes are summed.
    package var tree: ReductionTree { ReductionTree(laneCount: laneCount) }
}
