/// The search for the division of the lanes whose slowest rank takes the least time.
///
/// Dynamic programming over the ranks: for each rank and each of the lanes at which it could end, it
/// keeps the least seconds of the slowest rank so far. Only ends near those of the ideal division
/// with fractions of lanes are tried, so the work grows with the number of ranks, not of lanes. The
/// memory is allocated once.
package struct DivisionSearch: Sendable {
    private let tree: ReductionTree
    private let ranks: Int
    private let laneLimit: Int
    private let bufferLimit: Int
    /// For each rank, the least seconds by end, and the end of the rank before that leads to them.
    private var best: [Double]
    private var previous: [Int]
    /// The first of each rank's ends.
    private var firstEnds: [Int]

    /// The number of ends of a rank that are tried.
    private static let width = 17
    /// The part of a step that a node counts for, beyond a rank's first one: it is summed and sent
    /// separately. It decides between divisions that take about the same time.
    private static let nodePart = 0.002

    /// Creates a search among the divisions that keep to the limits.
    ///
    /// - Parameters:
    ///   - laneLimit: the largest number of lanes of a rank.
    ///   - bufferLimit: the largest number of buffers in which a rank sums its lanes.
    package init(tree: ReductionTree, ranks: Int, laneLimit: Int, bufferLimit: Int) {
        self.tree = tree
        self.ranks = ranks
        self.laneLimit = laneLimit
        self.bufferLimit = bufferLimit
        best = Array(repeating: 0, count: ranks * Self.width)
        previous = Array(repeating: 0, count: ranks * Self.width)
        firstEnds = Array(repeating: 0, count: ranks)
    }

    /// Returns the seconds of the ideal division, in which all ranks take the same time.
    package func leastSeconds(_ costs: [RankCost]) -> Double {
        var rates = 0.0
        var work = Double(tree.laneCount)
        for cost in costs {
            // A rank that has measured nothing would be infinitely fast.
            guard cost.perLane > 0 else { return .infinity }
            rates += 1 / cost.perLane
            work += cost.fixed / cost.perLane
        }
        return work / rates
    }

    /// Returns the best division; nil if no division keeps to the limits.
    package mutating func run(_ costs: [RankCost]) -> LaneDivision? {
        let ideal = leastSeconds(costs)
        guard ideal.isFinite else { return nil }
        let lanes = tree.laneCount
        var end = 0.0
        for rank in 0..<ranks {
            end += max(0, (ideal - costs[rank].fixed) / costs[rank].perLane)
            let isLast = rank == ranks - 1
            let middle = isLast ? lanes : Int(min(end, Double(lanes)).rounded())
            firstEnds[rank] = middle - Self.width / 2
            for place in 0..<Self.width {
                best[index(rank, place)] = .infinity
                let own = firstEnds[rank] + place
                // The ranks that follow need a lane each.
                guard own > rank, own <= lanes - (ranks - 1 - rank), !isLast || own == lanes
                else { continue }
                for from in 0..<(rank == 0 ? 1 : Self.width) {
                    let start = rank == 0 ? 0 : firstEnds[rank - 1] + from
                    let before = rank == 0 ? 0 : best[index(rank - 1, from)]
                    let count = own - start
                    guard before.isFinite, count >= 1, count <= laneLimit else { continue }
                    let shape = tree.shape(of: start..<own)
                    guard shape.buffers <= bufferLimit else { continue }
                    let seconds =
                        costs[rank].seconds(lanes: count)
                        + Double(shape.nodes - 1) * Self.nodePart * ideal
                    if max(before, seconds) < best[index(rank, place)] {
                        best[index(rank, place)] = max(before, seconds)
                        previous[index(rank, place)] = start
                    }
                }
            }
        }
        return division
    }

    private func index(_ rank: Int, _ place: Int) -> Int { rank * Self.width + place }

    /// The division that the least seconds lead back to.
    private var division: LaneDivision? {
        var boundaries = [tree.laneCount]
        for rank in (0..<ranks).reversed() {
            let end = index(rank, boundaries[0] - firstEnds[rank])
            guard best[end].isFinite else { return nil }
            boundaries.insert(previous[end], at: 0)
        }
        return LaneDivision(boundaries: boundaries)
    }
}
