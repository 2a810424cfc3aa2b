import Foundation
import TestSupport
import Testing

/// Tests of the thread that watches for stalls.
@Suite struct StallWatchTests {
    @Test("the watch ends before MPI does, even while it waits for answers")
    func endsDuringAnInquiry() throws {
        let outcome = try Launch.probe(
            ranks: 2, "stall", environment: ["LOCKSTEP_STALL_SECONDS": "1"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == "{\"ended\":true}\n{\"ended\":true}\n")
    }

    @Test("a report lists the state of every rank, with the bucket for which a rank waits")
    func statesOfAllRanks() throws {
        let outcome = try Launch.probe(
            ranks: 2, "bucket", environment: ["LOCKSTEP_STALL_SECONDS": "1"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == "{\"ended\":true}\n{\"ended\":true}\n")
        let host = ProcessInfo.processInfo.hostName
        let reports = outcome.sentences
        let first = try #require(
            reports.firstIndex {
                $0.contains("rank 1 on \(host) is computing while the others wait")
            },
            "\(outcome.errors)")
        #expect(
            reports[first...].dropFirst().prefix(2) == [
                "rank 0 on \(host): is waiting for bucket 2 of 3 of the gradients of step 8",
                "rank 1 on \(host): is computing in the forward and backward passes of step 8",
            ], "\(outcome.errors)")
    }
}
