import Glibc
import MPI

/// The wait of a rank for other ranks.
///
/// It checks again at once for a while, then lets other processes run between checks: on a machine
/// with more ranks than cores, these may be the ranks that it waits for.
struct SpinWait {
    private let spins: Int
    private var checks = 0

    /// - Parameter yields: whether ranks outnumber cores, so that checking again at once delays them.
    init(yields: Bool) { spins = yields ? 4 : 2000 }

    /// Waits a moment after a check that found nothing new.
    mutating func wait() {
        checks += 1
        if checks > spins { sched_yield() } else { relaxProcessor() }
    }

    /// Starts again after a check that found something new.
    mutating func reset() { checks = 0 }
}

/// Processors of this host that are switched on.
func onlineProcessors() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
