import Collectives
import Compute
import Testing

/// Compares the tree with its definition, which is written here as plain recursion.
@Suite struct ReductionTreeTests {
    /// Returns all nodes of the tree over [a, b), children before parents.
    private func nodes(_ a: Int, _ b: Int) -> [Range<Int>] {
        if b - a == 1 { return [a..<b] }
        var half = 1
        while half * 2 < b - a { half *= 2 }
        return nodes(a, a + half) + nodes(a + half, b) + [a..<b]
    }

    private func sum(_ values: [Double], _ a: Int, _ b: Int) -> Double {
        if b - a == 1 { return values[a] }
        var half = 1
        while half * 2 < b - a { half *= 2 }
        return sum(values, a, a + half) + sum(values, a + half, b)
    }

    @Test("nodes split at the largest power of two below the count")
    func nodesSplitAtTheLargestPowerOfTwo() {
        #expect(ReductionTree.split(0..<2) == 1)
        #expect(ReductionTree.split(0..<3) == 2)
        #expect(ReductionTree.split(0..<8) == 4)
        #expect(ReductionTree.split(0..<9) == 8)
        #expect(ReductionTree.split(8..<12) == 10)
        #expect(ReductionTree.split(5..<12) == 9)
    }

    @Test("ranks share the lanes evenly and in order", arguments: 1...40)
    func ranksShareTheLanesEvenlyAndInOrder(lanes: Int) {
        let tree = ReductionTree(laneCount: lanes)
        for size in 1...lanes {
            let ranges = (0..<size).map { tree.equalDivision(among: size)[$0] }
            #expect(ranges.flatMap { Array($0) } == Array(0..<lanes))
            let counts = ranges.map(\.count)
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
            #expect((counts.min() ?? 0) >= 1)
        }
    }

    @Test("complete nodes are the fewest that cover a rank's lanes", arguments: 1...40)
    func completeNodesAreTheFewest(lanes: Int) {
        let tree = ReductionTree(laneCount: lanes)
        let all = nodes(0, lanes)
        for size in 1...lanes {
            for rank in 0..<size {
                let range = tree.equalDivision(among: size)[rank]
                let inside = all.filter {
                    range.contains($0.lowerBound) && $0.upperBound <= range.upperBound
                }
                // The nodes that are inside no other node of the range.
                let maximal = inside.filter { node in
                    !inside.contains { $0 != node && $0.clamped(to: node) == node }
                }
                #expect(
                    tree.wholeNodes(covering: range)
                        == maximal.sorted { $0.lowerBound < $1.lowerBound })
            }
        }
    }

    @Test("merges after each lane leave the complete nodes on the stack", arguments: 1...40)
    func mergesLeaveTheCompleteNodesOnTheStack(lanes: Int) {
        let tree = ReductionTree(laneCount: lanes)
        let all = Set(nodes(0, lanes))
        for size in 1...lanes {
            for rank in 0..<size {
                let range = tree.equalDivision(among: size)[rank]
                var stack: [Range<Int>] = []
                var deepest = 0
                for (lane, merges) in zip(range, tree.mergesAfterEachLane(of: range)) {
                    stack.append(lane..<lane + 1)
                    deepest = max(deepest, stack.count)
                    for _ in 0..<merges {
                        let right = stack.removeLast()
                        let left = stack.removeLast()
                        #expect(left.upperBound == right.lowerBound)
                        #expect(all.contains(left.lowerBound..<right.upperBound))
                        stack.append(left.lowerBound..<right.upperBound)
                    }
                }
                #expect(stack == tree.wholeNodes(covering: range))
                // About log2(lanes) + 1 buffers; ranges that straddle nodes need a few more.
                if size == 1 {
                    #expect(deepest <= 1 + Int.bitWidth - (lanes - 1).leadingZeroBitCount)
                }
            }
        }
    }

    @Test("additions of the ranks' nodes complete the tree", arguments: 1...40)
    func additionsCompleteTheTree(lanes: Int) {
        let tree = ReductionTree(laneCount: lanes)
        let values = randomValues(lanes)
        for size in 1...lanes {
            let covering = (0..<size).flatMap {
                tree.wholeNodes(covering: tree.equalDivision(among: size)[$0])
            }
            var sums = covering.map { sum(values, $0.lowerBound, $0.upperBound) }
            for (left, right) in tree.additions(joining: covering) { sums[left] += sums[right] }
            #expect(sums[0].bitPattern == sum(values, 0, lanes).bitPattern)
        }
    }

    /// A host's ranks need not be consecutive.
    @Test(
        "hosts join the nodes of their ranks and then those of other hosts",
        arguments: [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0, 2, 2], [0, 1, 2], [1, 0, 0]])
    func hostsJoinTheNodesOfTheirRanksFirst(hostOfRank: [Int]) {
        let size = hostOfRank.count
        for lanes in size...24 {
            let tree = ReductionTree(laneCount: lanes)
            let values = randomValues(lanes)
            let all = Set(nodes(0, lanes))
            var sums: [(node: Range<Int>, sum: Double)] = []
            for host in Set(hostOfRank) {
                let ranges = (0..<size).filter { hostOfRank[$0] == host }
                    .map { tree.equalDivision(among: size)[$0] }
                let small = ranges.flatMap { tree.wholeNodes(covering: $0) }
                let large = tree.wholeNodes(covering: ranges)
                #expect(large.allSatisfy(all.contains))
                #expect(large.count <= small.count)
                #expect(
                    large.flatMap { Array($0) } == ranges.flatMap { Array($0) },
                    "the host's lanes, once and in order")
                for node in large {
                    var memory = small.map { sum(values, $0.lowerBound, $0.upperBound) }
                    for (left, right) in tree.additions(joining: small, into: node) {
                        memory[left] += memory[right]
                    }
                    let first = small.firstIndex { $0.lowerBound == node.lowerBound } ?? -1
                    let expected = sum(values, node.lowerBound, node.upperBound)
                    #expect(memory[first].bitPattern == expected.bitPattern)
                    sums.append((node, expected))
                }
            }
            sums.sort { $0.node.lowerBound < $1.node.lowerBound }
            var memory = sums.map(\.sum)
            for (left, right) in tree.additions(joining: sums.map(\.node)) {
                memory[left] += memory[right]
            }
            #expect(memory[0].bitPattern == sum(values, 0, lanes).bitPattern)
        }
    }

    @Test("sums follow the tree and not the order of lanes")
    func sumFollowsTheTreeAndNotTheOrderOfLanes() {
        var differs = 0
        for lanes in 1...40 {
            let values = randomValues(lanes)
            let total = ReductionTree(laneCount: lanes).sum(values, by: +)
            #expect(total.bitPattern == sum(values, 0, lanes).bitPattern)
            if total != values.dropFirst().reduce(values[0], +) { differs += 1 }
        }
        // With these values another order gives another sum; otherwise this test could not fail.
        #expect(differs > 15)
    }

    private func randomValues(_ count: Int) -> [Double] {
        let random = CounterRandom(key: UInt64(count))
        return (0..<count).map {
            (random.uniform(UInt64($0)) - 0.5) * Double(1 << Int(random.bits(UInt64($0), 1) % 60))
        }
    }
}
