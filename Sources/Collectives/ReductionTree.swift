import Recipes

/// The binary tree over a run's lanes along which every sum over the batch is taken.
///
/// Lanes [a, b) are the sum of [a, m) and [m, b), left before right, where m - a is the largest
/// power of two below b - a. The tree depends only on the number of lanes. The assignment of lanes
/// to ranks changes where an addition runs, never which values it adds.
package struct ReductionTree: Sendable, Equatable {
    /// The number of leaves.
    package let laneCount: Int

    /// Creates the tree over `laneCount` lanes, at least one.
    package init(laneCount: Int) {
        precondition(laneCount >= 1, "a reduction tree has at least one lane")
        self.laneCount = laneCount
    }

    /// Returns the lane at which the node over two or more lanes splits into its children.
    package static func split(_ lanes: Range<Int>) -> Int {
        precondition(lanes.count >= 2, "a leaf does not split")
        // The largest power of two at most count - 1.
        return lanes.lowerBound + 1 << (Int.bitWidth - 1 - (lanes.count - 1).leadingZeroBitCount)
    }

    /// Returns the fewest whole nodes of the tree that together cover these lanes, in order.
    package func wholeNodes(covering lanes: Range<Int>) -> [Range<Int>] {
        wholeNodes(covering: [lanes])
    }

    /// Returns the fewest whole nodes that together cover the lanes of disjoint ranges.
    package func wholeNodes(covering ranges: [Range<Int>]) -> [Range<Int>] {
        var nodes: [Range<Int>] = []
        func collect(_ node: Range<Int>) {
            let covered = ranges.reduce(0) { $0 + node.clamped(to: $1).count }
            if covered == 0 { return }
            if covered == node.count { return nodes.append(node) }
            let middle = Self.split(node)
            collect(node.lowerBound..<middle)
            collect(middle..<node.upperBound)
        }
        collect(0..<laneCount)
        return nodes
    }

    /// Returns the number of merges of the two newest partial sums that follow each of these lanes.
    ///
    /// A rank that pushes each lane on a stack and then merges the two topmost entries, left plus
    /// right, this many times, ends with the range's whole nodes on the stack.
    package func mergesAfterEachLane(of lanes: Range<Int>) -> [Int] {
        var merges = [Int](repeating: 0, count: lanes.count)
        // A merge makes a node, and is possible once the node's last lane is on the stack.
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

    /// Returns the additions that make the node `target` of the tree, or the whole tree, from the
    /// smaller nodes that cover it; `nodes` is in lane order and may hold others too.
    ///
    /// Each addition adds node `right` to node `left`, by index into `nodes`; the last result is in
    /// the first node within `target`.
    package func additions(
        joining nodes: [Range<Int>], into target: Range<Int>? = nil
    ) -> [(left: Int, right: Int)] {
        precondition(
            target != nil || nodes.reduce(0) { $0 + $1.count } == laneCount,
            "the nodes cover the lanes once")
        let target = target ?? 0..<laneCount
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

    /// Returns the sum of one value per lane in the tree's order.
    package func sum<Value>(_ leaves: [Value], by add: (Value, Value) -> Value) -> Value {
        precondition(leaves.count == laneCount, "one value per lane")
        func sum(_ node: Range<Int>) -> Value {
            if node.count == 1 { return leaves[node.lowerBound] }
            let middle = Self.split(node)
            return add(sum(node.lowerBound..<middle), sum(middle..<node.upperBound))
        }
        return sum(0..<laneCount)
    }
}

extension LaneConfiguration {
    /// The tree along which the lanes are summed.
    package var tree: ReductionTree { ReductionTree(laneCount: laneCount) }
}
