/// The choice of a division of the lanes in which no rank waits long for the slowest.
///
/// It follows the seconds per lane that the ranks measured in the last steps. All ranks see the same
/// numbers, so they choose the same division without another message. A new division is chosen only
/// if it is expected to shorten the step, and is given up if it does not.
package struct LaneBalancer: Sendable {
    package private(set) var division: LaneDivision

    private let laneLimit: Int
    private var search: DivisionSearch
    private var costs: [RankCost]
    /// The seconds of a step beyond the work of its slowest rank, such as messages.
    private var overhead = TrailingMean()
    /// The block of steps that is being measured.
    private var block: LoadBlock
    /// The number of blocks until a change is considered again.
    private var pause = TrailingMean.window
    /// The last change, until its effect is known.
    private var trial: Trial?
    /// The fraction of a step that a change must be expected to save, and the number of blocks
    /// until that is `leastGain` again.
    private var required = (gain: Self.leastGain, blocks: 0)
    /// The number of blocks after an undone change in which another must promise twice its gain.
    private var caution = Self.firstCaution
    /// The number of blocks to the next search after one in vain.
    private var nextPause = TrailingMean.window

    private struct Trial: Sendable {
        let previous: LaneDivision
        let overhead: Double
        let expectedGain: Double
    }

    /// The seconds of a block, which are many time slices of a process that competes for a core.
    static let blockSeconds = 0.05
    /// The fraction of a step that a change must be expected to save, above the noise of a step.
    static let leastGain = 0.03
    /// The fraction of a step that a change must have saved.
    static let leastProvenGain = 0.01
    /// The first value of `caution`, which doubles with each undone change.
    static let firstCaution = 50
    /// The longest pause between searches in vain.
    static let longestPause = 64

    package init(tree: ReductionTree, ranks: Int) {
        division = tree.equalDivision(among: ranks)
        laneLimit = division.laneLimit
        search = DivisionSearch(
            tree: tree, ranks: ranks, laneLimit: laneLimit,
            bufferLimit: GradientReducer.arenaLimit(ranks: ranks, tree: tree))
        costs = Array(repeating: RankCost(), count: ranks)
        block = LoadBlock(ranks: ranks)
    }

    /// Whether lanes can move: there are several ranks, and fewer ranks than lanes.
    package var canMove: Bool { laneLimit > 1 && costs.count > 1 }

    /// Records the ranks' loads in a step.
    ///
    /// - Returns: whether `division` has changed, from the next step on.
    package mutating func record(_ loads: [RankLoad]) -> Bool {
        guard canMove else { return false }
        block.add(loads)
        guard block.seconds >= Self.blockSeconds else { return false }
        for rank in costs.indices {
            costs[rank].add(block.mean(ofRank: rank), lanes: division[rank].count)
        }
        overhead.add(block.overhead)
        block.clear()
        if required.blocks > 0 {
            required.blocks -= 1
        } else {
            required.gain = Self.leastGain
        }
        pause -= 1
        return pause <= 0 && reconsider()
    }

    private mutating func reconsider() -> Bool {
        if let trial {
            self.trial = nil
            if let failure = failure(of: trial) { return failure }
        }
        let now = seconds(of: division) + overhead.value
        let wanted = (1 - required.gain) * now - overhead.value
        guard search.leastSeconds(costs) < wanted else { return false }
        guard let found = search.run(costs), found < wanted else {
            pause = nextPause
            nextPause = min(2 * nextPause, Self.longestPause)
            return false
        }
        let new = search.division
        let gain = 1 - (seconds(of: new) + overhead.value) / now
        trial = Trial(previous: division, overhead: overhead.value, expectedGain: gain)
        return change(to: new)
    }

    /// Undoes a change if steps take longer than they would without it.
    ///
    /// - Returns: true if it was undone; nil if it was not.
    private mutating func failure(of trial: Trial) -> Bool? {
        let before = seconds(of: trial.previous) + trial.overhead
        let after = seconds(of: division) + overhead.value
        guard after > (1 - Self.leastProvenGain) * before else {
            caution = Self.firstCaution
            return nil
        }
        // If the ranks' speeds have changed, the change was not in vain.
        if overhead.value - trial.overhead
            > (trial.expectedGain - Self.leastProvenGain) * before
        {
            required = (2 * trial.expectedGain, caution)
            caution *= 2
        }
        return change(to: trial.previous)
    }

    private mutating func change(to new: LaneDivision) -> Bool {
        division = new
        overhead = TrailingMean()
        pause = TrailingMean.window
        nextPause = TrailingMean.window
        return true
    }

    /// Returns the expected seconds of the slowest rank in a step.
    private func seconds(of division: LaneDivision) -> Double {
        costs.indices.reduce(0) { max($0, costs[$1].seconds(lanes: division[$1].count)) }
    }
}

/// The loads of consecutive steps.
private struct LoadBlock: Sendable {
    private var sums: [RankLoad]
    private var steps = 0
    /// The seconds of the steps.
    private(set) var seconds = 0.0
    private var slowest = 0.0

    init(ranks: Int) { sums = Array(repeating: RankLoad(), count: ranks) }

    mutating func add(_ loads: [RankLoad]) {
        precondition(loads.count == sums.count, "every rank has a load")
        var longest = 0.0
        var busiest = 0.0
        for (rank, load) in loads.enumerated() {
            sums[rank].add(load)
            longest = max(longest, load.lanes + load.other + load.waiting)
            busiest = max(busiest, load.lanes + load.other)
        }
        seconds += longest
        slowest += busiest
        steps += 1
    }

    /// Returns a rank's mean load in a step.
    func mean(ofRank rank: Int) -> RankLoad {
        var mean = sums[rank]
        mean.divide(by: Double(steps))
        return mean
    }

    /// The mean seconds of a step beyond the work of its slowest rank.
    var overhead: Double { (seconds - slowest) / Double(steps) }

    mutating func clear() {
        for rank in sums.indices { sums[rank] = RankLoad() }
        (steps, seconds, slowest) = (0, 0, 0)
    }
}
