import TestSupport
import Testing

@Suite struct CommunicatorTests {
    @Test("collectives and messages arrive complete", arguments: 1...4)
    func collectivesAndMessagesArriveComplete(ranks: Int) throws {
        let outcome = try Launch.probe(ranks: ranks, "collectives")
        #expect(outcome.status == 0, "\(outcome.errors)")
        let reports: [CollectivesReport] = try outcome.reports()
        #expect(reports.map(\.rank) == Array(0..<ranks))
        let gathered = (0..<Int64(ranks)).flatMap { rank in [10 * rank, 10 * rank + 1] }
        let gatheredBytes = (0..<ranks).map { rank in
            [UInt8](repeating: UInt8(rank + 1), count: 2 * rank)
        }
        for report in reports {
            let rank = report.rank
            #expect(report.size == ranks)
            #expect(report.gathered == gathered)
            #expect(report.gatheredBytes == gatheredBytes)
            #expect(report.minimum == 5)
            #expect(report.maximum == Double(ranks) - 0.5)
            #expect(report.sums == [Int64(ranks * (ranks - 1) / 2), Int64(ranks)])
            #expect(report.broadcastBytes == (0..<100).map { UInt8($0) })
            #expect(report.broadcastFloats == (0..<9).map { Float($0) / 4 })
            #expect(report.nonblockingSources == (0..<ranks).filter { $0 != rank })
            if ranks > 1 {
                #expect(report.blockingSource == (rank + ranks - 1) % ranks)
                #expect(report.blockingIsWhole)
            }
            if rank == 1 { #expect(report.duplicateMessage == 2) }
            // Colors are the rank's parity, and keys decrease with the rank.
            let alike = (0..<ranks).filter { $0 % 2 == rank % 2 }
            #expect(report.splitSize == alike.count)
            #expect(report.splitRank == alike.filter { $0 > rank }.count)
        }
    }

    @Test(
        "a message of the wrong size is an error",
        arguments: [
            (
                4,
                "rank 1: sent 4 bytes instead of the expected 8; check that all ranks run the same build"
            ),
            (
                12,
                "MPI_Recv failed with “MPI_ERR_TRUNCATE: message truncated”; please report this defect."
            ),
        ])
    func aMessageOfTheWrongSizeIsAnError(bytes: Int, sentence: String) throws {
        let outcome = try Launch.probe(ranks: 2, "message-size", "bytes=\(bytes)")
        #expect(outcome.status == 70)
        #expect(outcome.sentences.count == 1)
        #expect(outcome.sentences.first?.hasPrefix("lockstep: " + sentence) == true)
    }
}
