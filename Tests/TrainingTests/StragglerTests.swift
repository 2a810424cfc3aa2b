import Collectives
import Recipes
import Testing
import Training

/// Tests of the search for ranks that are slower than the others.
@Suite struct StragglerTests {
    private static let division = ReductionTree(laneCount: 8).equalDivision(among: 3)

    /// Returns loads whose seconds per lane are the given ones.
    private func loads(_ seconds: [Double]) -> [RankLoad] {
        seconds.enumerated().map { rank, seconds in
            RankLoad(lanes: seconds * Double(Self.division[rank].count))
        }
    }

    @Test("the slowest rank takes the most seconds per lane, not per step")
    func slowest() throws {
        var comparison = RankComparison(ranks: 3)
        // Rank 0 has two of the eight lanes, and the others have three.
        let slowest = comparison.slowest(loads([0.3, 0.25, 0.2]), Self.division)
        let found = try #require(slowest)
        #expect(found.rank == 0 && found.share == 0.25)
        #expect(abs(found.slowdown - 1.2) < 1e-12)
    }

    @Test("two ranks are compared with the faster one")
    func twoRanks() throws {
        var comparison = RankComparison(ranks: 2)
        let division = ReductionTree(laneCount: 4).equalDivision(among: 2)
        let slowest = comparison.slowest([RankLoad(lanes: 1), RankLoad(lanes: 3)], division)
        let found = try #require(slowest)
        #expect(found.rank == 1 && found.slowdown == 3)
    }

    @Test("one rank is not compared")
    func oneRank() {
        var comparison = RankComparison(ranks: 1)
        let division = ReductionTree(laneCount: 4).equalDivision(among: 1)
        let slowest = comparison.slowest([RankLoad(lanes: 1)], division)
        #expect(slowest == nil)
    }

    @Test("a rank that stays slow is reported once, by rank and host")
    func warnsOnce() throws {
        var watch = StragglerWatch(hosts: ["one", "two"])
        let slow = SlowestRank(rank: 1, share: 0.5, slowdown: 1.5)
        let warnings = (0..<200).map { _ in watch.add(slow) }
        #expect(warnings.firstIndex { $0 != nil } == StragglerWatch.stepsToWarn - 1)
        let given = warnings.compactMap(\.self)
        #expect(given.count == 1)
        #expect(given.first?.hasPrefix("rank 1 on host two ") == true)
        #expect(given.first?.contains("1.5 times") == true)
    }

    @Test("slow steps of changing ranks, or with a good step between them, are not reported")
    func changingRanks() {
        var watch = StragglerWatch(hosts: ["one", "two"])
        for step in 0..<400 {
            let rank = step / (StragglerWatch.stepsToWarn - 1) % 2
            let warning = watch.add(SlowestRank(rank: rank, share: 0.5, slowdown: 2))
            #expect(warning == nil)
        }
        for step in 0..<400 {
            let isGood = step % StragglerWatch.stepsToWarn == 0
            let warning = watch.add(
                SlowestRank(rank: 1, share: 0.5, slowdown: isGood ? 1.1 : 2))
            #expect(warning == nil)
        }
    }
}
