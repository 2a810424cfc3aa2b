import Foundation
import Support
import Synchronization

/// A time limit for calls of MPI that no `StallWatch` can watch, because it is starting or has ended.
///
/// It has its own thread, because these calls may never return.
final class EndOfWait: Sendable {
    private let isOver = Atomic<Bool>(false)

    /// Starts the limit; after `seconds`, the process reports a sentence and ends with code 74.
    init(after seconds: Int, report: @escaping @Sendable (String) -> Void) {
        Thread.detachNewThread { [self] in
            let end = MonotonicClock.nanoseconds + Int64(seconds) * 1_000_000_000
            while MonotonicClock.nanoseconds < end {
                if isOver.load(ordering: .acquiring) { return }
                usleep(50_000)
            }
            if isOver.exchange(true, ordering: .acquiringAndReleasing) { return }
            report(
                "rank \(MPIEnvironment.launchedRank) on \(Communicator.hostName) has waited for "
                    + "\(seconds) s for other ranks to start or end; the job ends, because "
                    + "LOCKSTEP_STALL_LIMIT is set; resume the run from its last checkpoint.")
            _exit(Failure.Code.inputOutput.rawValue)
        }
    }

    /// Lifts the limit.
    func cancel() {
        if isOver.exchange(true, ordering: .acquiringAndReleasing) {
            // The thread was first and is about to end the process.
            while true { sleep(1) }
        }
    }
}
