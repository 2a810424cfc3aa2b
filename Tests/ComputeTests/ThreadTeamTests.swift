import Compute
import Synchronization
import Testing

/// Every tile of every loop runs exactly once, by a thread of the team.
@Suite struct ThreadTeamTests {
    /// Teams of more threads than cores, that spin or yield, and loops from nothing to many tiles.
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

    /// A loop sees all that the one before wrote, thousands of times in a row, pauses included.
    @Test("loops follow each other", arguments: [2, 4])
    func loopsFollowOneAnother(threads: Int) {
        let team = ThreadTeam(threads: threads)
        let tiles = 13
        let values = Buffer<Int64>(count: tiles)
        let loops = 5000
        for loop in 0..<loops {
            team.forEach(tiles) { tile, _ in
                // A neighbour's value of the loop before: a late tile would be seen here.
                if tile == 0 { values.base[0] += 1 }
                if tile > 0 { values.base[tile] += Int64(tile) }
            }
            let sum = values.elements.reduce(0, +)
            guard sum == Int64(loop + 1) * Int64(1 + tiles * (tiles - 1) / 2) else {
                Issue.record("loop \(loop) lost a tile")
                return
            }
            // Long enough for the workers to fall asleep.
            if loop % 1000 == 0 { ContinuousClock().sleepBriefly() }
        }
    }

    @Test("no two threads share an index")
    func eachThreadKeepsItsIndexToItself() {
        let threads = 4
        let team = ThreadTeam(threads: threads)
        let scratch = Buffer<Int64>(count: threads * 8)
        let tiles = 20_000
        team.forEach(tiles) { _, thread in scratch.base[thread * 8] += 1 }
        // Were two threads given one index, additions would be lost.
        #expect(scratch.elements.reduce(0, +) == Int64(tiles))
    }

    @Test("teams can be created and destroyed repeatedly")
    func teamsComeAndGo() {
        for threads in 1...50 {
            let team = ThreadTeam(threads: threads % 6 + 1, yields: threads % 2 == 0)
            let sum = Atomic<Int>(0)
            team.forEach(threads) { tile, _ in sum.add(tile, ordering: .relaxed) }
            #expect(sum.load(ordering: .relaxed) == threads * (threads - 1) / 2)
        }
    }
}

extension ContinuousClock {
    /// Does nothing for some milliseconds, without giving the thread to others.
    fileprivate func sleepBriefly() {
        let end = now.advanced(by: .milliseconds(3))
        while now < end {}
    }
}
