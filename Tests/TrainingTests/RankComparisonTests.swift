import Collectives
import Recipes
import Testing
import Training

/// Tests of the comparison of ranks, and of the search for those that stay slow.
@Suite struct RankComparisonTests {
    private static let division = ReductionTree(laneCount: 8).equalDivision(among: 3)

    /// Returns loads whose seconds per lane are the given ones.
    private func loads(_ seconds: [Double]) -> [RankLoad] {
        seconds.enumerated().map { rank, seconds in
            RankLoad(lanes: seconds * Double(Self.division[rank].count))
        }
    }

    /// Records steps, and returns the stragglers of each.
    private func stragglers(_ steps: [[Double]]) -> [[Straggler]] {
        var comparison = RankComparison(ranks: 3)
        return steps.map {
            comparison.record(loads($0), Self.division)
            return comparison.stragglers
        }
    }

    @Test("the slowest rank takes the most seconds per lane, not per step")
    func slowest() throws {
        var comparison = RankComparison(ranks: 3)
        // Rank 0 has two of the eight lanes, and the others have three.
        comparison.record(loads([0.3, 0.25, 0.2]), Self.division)
        let found = try #require(comparison.slowest)
        #expect(found.rank == 0 && found.share == 0.25)
        #expect(abs(found.slowdown - 1.2) < 1e-12)
    }

    @Test("two ranks are compared with the faster one")
    func twoRanks() throws {
        var comparison = RankComparison(ranks: 2)
        let division = ReductionTree(laneCount: 4).equalDivision(among: 2)
        comparison.record([RankLoad(lanes: 1), RankLoad(lanes: 3)], division)
        let found = try #require(comparison.slowest)
        #expect(found.rank == 1 && found.slowdown == 3)
    }

    @Test("one rank is not compared")
    func oneRank() {
        var comparison = RankComparison(ranks: 1)
        let division = ReductionTree(laneCount: 4).equalDivision(among: 1)
        comparison.record([RankLoad(lanes: 1)], division)
        #expect(comparison.slowest == nil && comparison.stragglers.isEmpty)
    }

    @Test("a rank that stays slow is reported once, with its mean slowdown")
    func oneStraggler() {
        let found = stragglers((0..<200).map { [1, $0 % 2 == 0 ? 1.4 : 1.6, 1] })
        #expect(found.firstIndex { !$0.isEmpty } == RankComparison.stepsToWarn - 1)
        let all = found.flatMap { $0 }
        #expect(all.count == 1 && all.first?.rank == 1)
        #expect(abs((all.first?.slowdown ?? 0) - 1.5) < 1e-12)
    }

    /// Rank 1 is slow from the start, and rank 2 from step 60 on. From then on, the slowest rank
    /// alternates.
    @Test("a second rank that becomes slow is reported too")
    func twoStragglers() {
        var comparison = RankComparison(ranks: 5)
        let division = ReductionTree(laneCount: 5).equalDivision(among: 5)
        var found: [[Int]] = []
        for step in 0..<200 {
            let seconds = [1, 1.5, step < 60 ? 1 : 1.4 + Double(step % 2), 1, 1]
            comparison.record(seconds.map { RankLoad(lanes: $0) }, division)
            found.append(comparison.stragglers.map(\.rank))
        }
        #expect(found[49] == [1] && found[109] == [2])
        #expect(found.flatMap { $0 } == [1, 2])
    }

    @Test("short slow spells are not reported")
    func shortSpells() {
        let slow = (0..<400).map { step in
            [1, step % RankComparison.stepsToWarn == 0 ? 1.1 : 2, 1]
        }
        let found = stragglers(slow).flatMap { $0 }
        #expect(found.isEmpty)
    }

    @Test("the warning names ranks and hosts")
    func warning() {
        let hosts = ["one", "two", "two", "two", "two", "two"]
        #expect(Straggler.warning([], hosts: hosts) == nil)
        #expect(
            Straggler.warning([Straggler(rank: 1, slowdown: 1.52)], hosts: hosts)?.hasPrefix(
                "rank 1 on two has taken 1.5 times as long per lane as the median rank for 50 steps;"
            ) == true)
        let many = (1...5).map { Straggler(rank: $0, slowdown: 2) }
        #expect(
            Straggler.warning(many, hosts: hosts)?.hasPrefix(
                "rank 1 on two, rank 2 on two, rank 3 on two, rank 4 on two and 1 more have taken "
                    + "up to 2.0 times") == true)
    }
}
