import Foundation
import TestSupport
import Testing

/// Tests that supervised runs survive faults at random moments.
@Suite struct ChaosTests {
    /// LOCKSTEP_CHAOS_FAULTS sets another number of faults.
    @Test("supervised runs that meet 50 faults end with the bytes of an undisturbed one")
    func faultsDoNotChangeTheBytes() throws {
        let faults = ProcessInfo.processInfo.environment["LOCKSTEP_CHAOS_FAULTS"] ?? "50"
        let outcome = try Launch.run(
            "\(Launch.root)/Tests/Studies/chaos", ["--faults", faults],
            seconds: 60 + 30 * (Int(faults) ?? 50))
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains(": \(faults) faults in "), "\(outcome.output)")
    }
}
