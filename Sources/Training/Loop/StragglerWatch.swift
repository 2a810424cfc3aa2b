import Collectives
import Support

/// The rank that took the most seconds per lane in a step.
package struct SlowestRank: Sendable, Equatable {
    package let rank: Int
    /// The part of the lanes that the rank computed.
    package let share: Double
    /// The rank's seconds per lane as a multiple of the median rank's.
    package let slowdown: Double

    package init(rank: Int, share: Double, slowdown: Double) {
        self.rank = rank
        self.share = share
        self.slowdown = slowdown
    }
}

/// The comparison of the ranks' seconds per lane in a step.
package struct RankComparison {
    /// The ranks' seconds per lane, sorted; allocated once.
    private var sorted: [Double]

    package init(ranks: Int) { sorted = Array(repeating: 0, count: ranks) }

    /// Returns the slowest rank of a step; nil if there is one rank.
    package mutating func slowest(_ loads: [RankLoad], _ division: LaneDivision) -> SlowestRank? {
        guard loads.count > 1 else { return nil }
        var slowest = 0
        var most = 0.0
        for (rank, load) in loads.enumerated() {
            let seconds = load.lanes / Double(division[rank].count)
            sorted[rank] = seconds
            if seconds > most { (slowest, most) = (rank, seconds) }
        }
        sorted.sort()
        let median = sorted[(sorted.count - 1) / 2]
        guard median > 0 else { return nil }
        return SlowestRank(
            rank: slowest,
            share: Double(division[slowest].count) / Double(division.laneCount),
            slowdown: most / median)
    }
}

/// The search for a rank that stays slow.
package struct StragglerWatch {
    /// The names of the ranks' hosts.
    private let hosts: [String]
    private var rank = -1
    private var steps = 0
    private var hasWarned = false

    /// The slowdown from which a rank counts as slow.
    package static let slowdown = 1.3
    /// The number of consecutive steps after which a slow rank is reported.
    package static let stepsToWarn = 50

    package init(hosts: [String]) { self.hosts = hosts }

    /// Records the slowest rank of a step.
    ///
    /// - Returns: a warning, once per run, if the same rank has been slow for some time.
    package mutating func add(_ slowest: SlowestRank?) -> String? {
        guard let slowest, slowest.slowdown >= Self.slowdown else {
            rank = -1
            return nil
        }
        steps = slowest.rank == rank ? steps + 1 : 1
        rank = slowest.rank
        guard steps >= Self.stepsToWarn, !hasWarned else { return nil }
        hasWarned = true
        return
            "rank \(rank) on host \(hosts[rank]) has been the slowest for \(steps) steps, at "
            + "\(Format.fixed(slowest.slowdown, decimals: 1)) times the median rank's seconds per "
            + "lane; look there for other processes, or a slower or hot processor"
    }
}
