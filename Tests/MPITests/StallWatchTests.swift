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
}
