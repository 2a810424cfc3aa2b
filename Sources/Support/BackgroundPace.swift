import Dispatch
import Glibc
import Synchronization

/// The pace of work on a thread that shares the cores with other threads.
///
/// The work rests after each piece, so that it takes a small part of one core. As soon as another
/// thread waits for it, it stops resting. A low priority would also leave the cores to others, but
/// only root can raise a priority again.
package final class BackgroundPace: Sendable {
    private let isUrgent = Atomic<Bool>(false)
    private let urgency = DispatchSemaphore(value: 0)
    /// The processor time of the thread up to which it has rested, in nanoseconds.
    private let rested = Atomic<Int64>(0)

    /// The time of rest as a multiple of the time of work, which takes 1/25 of a core.
    private static let restPerWork: Int64 = 24
    /// The processor time in nanoseconds after which the work rests.
    private static let leastWork: Int64 = 2_000_000

    package init() {}

    /// Rests for as long as the calling thread's work since the last rest requires. Only the thread
    /// that works may call this.
    package func rest() {
        guard !isUrgent.load(ordering: .relaxed) else { return }
        let worked = Self.processorTime - rested.load(ordering: .relaxed)
        guard worked >= Self.leastWork else { return }
        _ = urgency.wait(timeout: .now() + .nanoseconds(Int(worked * Self.restPerWork)))
        rested.store(Self.processorTime, ordering: .relaxed)
    }

    /// Ends the current rest and all later ones.
    package func hurry() {
        isUrgent.store(true, ordering: .relaxed)
        urgency.signal()
    }

    /// The processor time that the calling thread has used, in nanoseconds.
    private static var processorTime: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
