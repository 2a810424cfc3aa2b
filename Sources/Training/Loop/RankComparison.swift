import Collectives
import Support

/// The rank that took the most seconds per lane in a step.
package struct SlowestRank: Sendable, Equatable {
    package let rank: Int
    /// The fraction of the lanes that the rank computed.
    package let share: Double
    /// The rank's seconds per lane as a multiple of the median rank's.
    package let slowdown: Double
}

/// A rank that has been slow for many consecutive steps.
package struct Straggler: Sendable, Equatable {
    package let rank: Int
    /// The mean of the rank's seconds per lane, as multiples of the median rank's.
    package let slowdown: Double

    package init(rank: Int, slowdown: Double) {
        self.rank = rank
        self.slowdown = slowdown
    }

    /// Returns a warning that names the ranks and their hosts; nil if there are none.
    ///
    /// - Parameter hosts: the ranks' hosts, by rank.
    package static func warning(_ stragglers: [Straggler], hosts: [String]) -> String? {
        guard let most = stragglers.map(\.slowdown).max() else { return nil }
        let shown = 4
        let names = stragglers.prefix(shown).map { "rank \($0.rank) on \(hosts[$0.rank])" }
        let rest = stragglers.count > shown ? " and \(stragglers.count - shown) more" : ""
        let (verb, each) = stragglers.count == 1 ? ("has", "") : ("have", "up to ")
        return "\(names.joined(separator: ", "))\(rest) \(verb) taken \(each)"
            + "\(Format.fixed(most, decimals: 1)) times as long per lane as the median rank for "
            + "\(RankComparison.stepsToWarn) steps; look there for other processes, or a slower or "
            + "hot processor"
    }
}

/// The comparison of the ranks' seconds per lane, step by step.
package struct RankComparison {
    /// The slowest rank of the last step; nil if there is one rank.
    package private(set) var slowest: SlowestRank?
    /// The ranks that became stragglers in the last step; each does so at most once.
    package private(set) var stragglers: [Straggler] = []

    /// The ranks' seconds per lane, and the same in ascending order; allocated once.
    private var seconds: [Double]
    private var sorted: [Double]
    /// The number of consecutive slow steps of each rank, and the sum of their slowdowns.
    private var slowSteps: [Int]
    private var slowdowns: [Double]
    private var areStragglers: [Bool]

    /// The slowdown from which a rank counts as slow.
    package static let slowdown = 1.3
    /// The number of consecutive slow steps that make a rank a straggler.
    package static let stepsToWarn = 50

    package init(ranks: Int) {
        seconds = Array(repeating: 0, count: ranks)
        sorted = seconds
        slowSteps = Array(repeating: 0, count: ranks)
        slowdowns = seconds
        areStragglers = Array(repeating: false, count: ranks)
    }

    /// Records a step.
    package mutating func record(_ loads: [RankLoad], _ division: LaneDivision) {
        guard loads.count > 1 else { return }
        for (rank, load) in loads.enumerated() {
            seconds[rank] = load.lanes / Double(division[rank].count)
            sorted[rank] = seconds[rank]
        }
        sorted.sort()
        let median = sorted[(sorted.count - 1) / 2]
        stragglers.removeAll(keepingCapacity: true)
        slowest = nil
        guard median > 0, let most = sorted.last else { return }
        for rank in seconds.indices {
            let slowdown = seconds[rank] / median
            if seconds[rank] == most, slowest == nil {
                slowest = SlowestRank(
                    rank: rank,
                    share: Double(division[rank].count) / Double(division.laneCount),
                    slowdown: slowdown)
            }
            count(slowdown, ofRank: rank)
        }
    }

    private mutating func count(_ slowdown: Double, ofRank rank: Int) {
        guard slowdown >= Self.slowdown else {
            (slowSteps[rank], slowdowns[rank]) = (0, 0)
            return
        }
        slowSteps[rank] += 1
        slowdowns[rank] += slowdown
        guard slowSteps[rank] >= Self.stepsToWarn, !areStragglers[rank] else { return }
        areStragglers[rank] = true
        stragglers.append(
            Straggler(rank: rank, slowdown: slowdowns[rank] / Double(slowSteps[rank])))
    }
}
