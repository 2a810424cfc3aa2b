import Compute
import Synchronization
import Testing

/// Tests that every tile of every loop runs exactly once on a thread of the team.
@Suite struct ThreadTeamTests {
    /// Teams may have more threads than cores and spin or yield; loops have from zero to many
    /// tiles.
    @Test("every tile runs once", arguments: [1, 2, 3, 8], [false, true])
    func everyTileRunsOnce(threads: Int, yields: Bool) {
        let team = ThreadTeam(threads: threads, yields: yields)
        #expect(team.threadCount == threads)
        for tiles in [0, 1, 2, threads - 1, threads, threads + 1, 7, 100, 1000] {
            let runs = Buffer<Int32>(count: max(1, tiles))
            let strangers = Atomic<Int>(0)
            team.forEach(tiles) { tile, thread in
                runs.base[tile] += 1
                if !(0..<threads).contains(thread) { strangers.add(1, ordering: .relaxed) }
            }
            #expect(runs.elements.prefix(tiles).allSatisfy { $0 == 1 }, "\(tiles) tiles")
            #expect(strangers.load(ordering: .relaxed) == 0)
        }
    }

    /// Each of thousands of loops, some after a pause, reads all values that the previous one
    /// wrote.
    @Test("loops follow each other", arguments: [2, 4])
    func loopsFollowEachOther(threads: Int) {
        let team = ThreadTeam(threads: threads)
        let tiles = 13
        let values = Buffer<Int64>(count: tiles)
        let loops = 5000
        for loop in 0..<loops {
            team.forEach(tiles) { tile, _ in
                // A late tile would change the sum below.
                if tile == 0 { values.base[0] += 1 }
                if tile > 0 { values.base[tile] += Int64(tile) }
            }
            let sum = values.elements.reduce(0, +)
            guard sum == Int64(loop + 1) * Int64(1 + tiles * (tiles - 1) / 2) else {
                Issue.record("loop \(loop) lost a tile")
                return
            }
            // The pause is long enough for the workers to fall asleep.
            if loop % 1000 == 0 { ContinuousClock().sleepBriefly() }
        }
    }

    @Test("no two threads share an index")
    func noTwoThreadsShareAnIndex() {
        let threads = 4
        let team = ThreadTeam(threads: threads)
        let scratch = Buffer<Int64>(count: threads * 8)
        let tiles = 20_000
        team.forEach(tiles) { _, thread in scratch.base[thread * 8] += 1 }
        // If two threads had one index, additions would be lost.
        #expect(scratch.elements.reduce(0, +) == Int64(tiles))
    }

    @Test("teams can be created and destroyed repeatedly")
    func teamsCanBeRecreated() {
        for threads in 1...50 {
            let team = ThreadTeam(threads: threads % 6 + 1, yields: threads % 2 == 0)
            let sum = Atomic<Int>(0)
            team.forEach(threads) { tile, _ in sum.add(tile, ordering: .relaxed) }
            #expect(sum.load(ordering: .relaxed) == threads * (threads - 1) / 2)
        }
    }
}

extension ContinuousClock {
    /// Spins for some milliseconds without yielding the thread.
    fileprivate func sleepBriefly() {
        let end = now.advanced(by: .milliseconds(3))
        while now < end {}
    }
}
