import Collectives
import Recipes
import Testing

/// Tests of the lanes' division among ranks and of the order in which a rank computes them.
@Suite struct LaneDivisionTests {
    @Test("a rank's order makes the whole nodes, the larger ones first", arguments: 1...24)
    func order(lanes: Int) {
        let tree = ReductionTree(laneCount: lanes)
        for start in 0..<lanes {
            for end in start + 1...lanes {
                let schedule = LaneSchedule(tree: tree, lanes: start..<end)
                #expect(schedule.lanes.sorted() == Array(start..<end))
                #expect(
                    schedule.nodes.sorted { $0.lowerBound < $1.lowerBound }
                        == tree.wholeNodes(covering: start..<end))
                var stack: [Range<Int>] = []
                for (lane, merges) in zip(schedule.lanes, schedule.merges) {
                    stack.append(lane..<lane + 1)
                    for _ in 0..<merges {
                        let right = stack.removeLast()
                        let left = stack.removeLast()
                        stack.append(left.lowerBound..<right.upperBound)
                    }
                }
                #expect(stack == schedule.nodes)
            }
        }
    }

    @Test("the number of nodes and buffers is known without the order", arguments: 1...40)
    func shape(lanes: Int) {
        let tree = ReductionTree(laneCount: lanes)
        for start in 0..<lanes {
            for end in start + 1...lanes {
                let schedule = LaneSchedule(tree: tree, lanes: start..<end)
                let shape = tree.shape(of: start..<end)
                #expect(shape.nodes == schedule.nodes.count)
                #expect(shape.buffers == schedule.bufferCount)
            }
        }
    }

    @Test("larger nodes first needs no more buffers than the order of the lanes", arguments: 2...40)
    func fewBuffers(lanes: Int) {
        let tree = ReductionTree(laneCount: lanes)
        for start in 0..<lanes {
            for end in start + 1...lanes {
                var depth = 0
                var deepest = 0
                for merges in tree.mergesAfterEachLane(of: start..<end) {
                    depth += 1
                    deepest = max(deepest, depth)
                    depth -= merges
                }
                #expect(tree.shape(of: start..<end).buffers <= deepest)
            }
        }
    }

    @Test("the equal division gives every rank its lanes", arguments: 1...12)
    func equalDivision(ranks: Int) {
        for lanes in ranks...30 {
            let tree = ReductionTree(laneCount: lanes)
            let division = tree.equalDivision(among: ranks)
            #expect(division.rankCount == ranks && division.laneCount == lanes)
            #expect((0..<ranks).flatMap { Array(division[$0]) } == Array(0..<lanes))
            let counts = (0..<ranks).map { division[$0].count }
            #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
            #expect(division.mostLanes <= division.laneLimit)
        }
    }
}
