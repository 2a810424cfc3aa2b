import Glibc
import MPI

/// A rank's wait for other ranks.
///
/// It first checks in a tight loop. After a while, it lets other processes run between checks: on a
/// machine with more ranks than cores, these may be the ranks that it waits for.
struct SpinWait {
    private let spins: Int
    private var checks = 0

    /// Creates a wait without checks.
    ///
    /// - Parameter yields: whether ranks outnumber cores, so that a tight loop delays them.
    init(yields: Bool) { spins = yields ? 4 : 2000 }

    /// Waits a moment after a check that found nothing new.
    mutating func wait() {
        checks += 1
        if checks > spins { sched_yield() } else { relaxProcessor() }
    }

    /// Restarts the wait after a check that found something new.
    mutating func reset() { checks = 0 }
}

/// Returns the number of this host's processors that are online.
func onlineProcessors() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
