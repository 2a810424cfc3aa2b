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
    /// For each rank, the best times of the ranks so far by end, and the end of the rank before
    /// that leads to them.
    private var best: [Times]
    private var previous: [Int]
    /// The first of each rank's ends.
    private var firstEnds: [Int]

    /// The number of ends of a rank that are tried.
    package static let width = 17
    /// The fraction of a step that a node counts for, beyond a rank's first one: it is summed and
    /// sent separately. It decides between divisions that take about the same time.
    private static let nodeFraction = 0.002

    /// The seconds of some ranks. Of divisions with the same slowest rank, the one whose other
    /// ranks are closest together is better.
    private struct Times: Sendable {
        var slowest = Double.infinity
        var squares = 0.0

        static func < (left: Times, right: Times) -> Bool {
            (left.slowest, left.squares) < (right.slowest, right.squares)
        }
    }

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
        best = Array(repeating: Times(), count: ranks * Self.width)
        previous = Array(repeating: 0, count: ranks * Self.width)
        firstEnds = Array(repeating: 0, count: ranks)
    }

    /// Returns the seconds of the ideal division, which divides lanes into fractions and keeps to
    /// the limit of a rank's lanes.
    package func leastSeconds(_ costs: [RankCost]) -> Double {
        // A rank that has measured nothing would be infinitely fast.
        guard costs.allSatisfy({ $0.perLane > 0 }) else { return .infinity }
        var (low, high) = (0.0, costs.reduce(0) { max($0, $1.seconds(lanes: laneLimit)) })
        for _ in 0..<Self.bisections {
            let middle = (low + high) / 2
            let lanes = costs.reduce(0) { $0 + idealLanes($1, seconds: middle) }
            if lanes < Double(tree.laneCount) { low = middle } else { high = middle }
        }
        return high
    }

    /// Enough to find the seconds to a millionth.
    private static let bisections = 30

    /// Returns the lanes that a rank computes in some seconds, with fractions.
    private func idealLanes(_ cost: RankCost, seconds: Double) -> Double {
        min(max((seconds - cost.fixed) / cost.perLane, 1), Double(laneLimit))
    }

    /// Finds the best division, which `division` then returns.
    ///
    /// - Returns: the seconds of its slowest rank; nil if no division keeps to the limits.
    package mutating func run(_ costs: [RankCost]) -> Double? {
        let ideal = leastSeconds(costs)
        guard ideal.isFinite else { return nil }
        let lanes = tree.laneCount
        var end = 0.0
        for rank in 0..<ranks {
            end += idealLanes(costs[rank], seconds: ideal)
            let isLast = rank == ranks - 1
            let middle = isLast ? lanes : Int(min(end, Double(lanes)).rounded())
            firstEnds[rank] = middle - Self.width / 2
            for place in 0..<Self.width {
                best[index(rank, place)] = Times()
                let own = firstEnds[rank] + place
                // The ranks that follow need a lane each.
                guard own > rank, own <= lanes - (ranks - 1 - rank), !isLast || own == lanes
                else { continue }
                for from in 0..<(rank == 0 ? 1 : Self.width) {
                    extend(rank, costs[rank], ideal: ideal, from: from, to: place)
                }
            }
        }
        let last = best[index(ranks - 1, lanes - firstEnds[ranks - 1])]
        return last.slowest.isFinite ? last.slowest : nil
    }

    /// Lets a rank begin at an end of the rank before it, if that is better than its best so far.
    private mutating func extend(
        _ rank: Int, _ cost: RankCost, ideal: Double, from: Int, to place: Int
    ) {
        let start = rank == 0 ? 0 : firstEnds[rank - 1] + from
        let end = firstEnds[rank] + place
        let before =
            rank == 0 ? Times(slowest: 0, squares: 0) : best[index(rank - 1, from)]
        guard before.slowest.isFinite, end > start, end - start <= laneLimit else { return }
        func times(nodes: Int) -> Times {
            let seconds =
                cost.seconds(lanes: end - start) + Double(nodes - 1) * Self.nodeFraction * ideal
            return Times(
                slowest: max(before.slowest, seconds), squares: before.squares + seconds * seconds)
        }
        // The tree is asked only about ranges that can be the best.
        guard times(nodes: 1) < best[index(rank, place)] else { return }
        let shape = tree.shape(of: start..<end)
        let found = times(nodes: shape.nodes)
        guard shape.buffers <= bufferLimit, found < best[index(rank, place)] else { return }
        best[index(rank, place)] = found
        previous[index(rank, place)] = start
    }

    private func index(_ rank: Int, _ place: Int) -> Int { rank * Self.width + place }

    /// The division that the last `run` found.
    package var division: LaneDivision {
        var boundaries = Array(repeating: tree.laneCount, count: ranks + 1)
        for rank in (0..<ranks).reversed() {
            boundaries[rank] = previous[index(rank, boundaries[rank + 1] - firstEnds[rank])]
        }
        return LaneDivision(boundaries: boundaries)
    }
}

/// The seconds that a rank takes for a lane, and for work that does not depend on its lanes.
package struct RankCost: Sendable {
    private var lane = TrailingMean()
    private var other = TrailingMean()

    package init() {}

    /// Adds the load of a step in which the rank had some lanes.
    package mutating func add(_ load: RankLoad, lanes: Int) {
        lane.add(load.lanes / Double(lanes))
        other.add(load.other)
    }

    /// The seconds per lane.
    var perLane: Double { lane.value }
    /// The seconds of a step without lanes.
    var fixed: Double { other.value }

    package func seconds(lanes: Int) -> Double { Double(lanes) * perLane + fixed }
}

/// The mean of the last values without the largest of them, so that one hiccup does not move it.
struct TrailingMean: Sendable {
    private var values = SIMD4<Double>()
    private var count = 0

    /// The number of values that are kept.
    static let window = SIMD4<Double>.scalarCount

    mutating func add(_ value: Double) {
        values[count % Self.window] = value
        count += 1
    }

    /// The mean; 0 without values.
    var value: Double {
        let kept = min(count, Self.window)
        guard kept > 1 else { return values[0] }
        return (values.sum() - values.max()) / Double(kept - 1)
    }
}
