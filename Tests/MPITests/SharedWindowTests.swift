import MPI
import TestSupport
import Testing

@Suite struct SharedWindowTests {
    @Test("ranks read and write each other's memory and release it", arguments: [2, 3, 4])
    func ranksShareAndReleaseMemory(ranks: Int) throws {
        let outcome = try Launch.probe(ranks: ranks, "window")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let reports: [WindowReport] = try outcome.reports()
        #expect(reports.map(\.rank) == Array(0..<ranks))
        for report in reports {
            #expect(report.size == ranks)
            #expect(report.wasZero)
            #expect(report.isOnPages)
            // Every rank wrote its number into every other rank's part.
            #expect(report.received == (0..<ranks).map { UInt64($0 + 1) })
            // The parts that the ranks touched used space of the file system, which was freed.
            #expect(report.bytesTaken >= ranks * 32 << 20)
            #expect(report.bytesKept < 24 << 20)
        }
    }

    @Test("free space is checked before it is used")
    func freeSpaceIsCheckedFirst() throws {
        let space = SharedMemorySpace(folder: "/dev/shm")
        let free = try #require(space.freeBytes)
        #expect(space.reasonAgainst(bytes: 1 << 20) == nil)
        let reason = try #require(space.reasonAgainst(bytes: free))
        #expect(reason.hasPrefix("/dev/shm has \(free >> 20) MiB free of the "))
        #expect(reason.contains("--shm-size"))
        #expect(
            SharedMemorySpace(folder: "/not/there").reasonAgainst(bytes: 0)
                == "/not/there cannot be used; mount a tmpfs there")
    }
}
