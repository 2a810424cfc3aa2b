import Glibc
import MPI

/// How a rank waits for others: it looks again at once for a while, then lets other processes run
/// between looks, which on a machine with more ranks than cores may be those it waits for.
struct Patience {
    private let spins: Int
    private var looks = 0

    /// `yields`: whether ranks outnumber cores, so that looking again at once only delays them.
    init(yields: Bool) { spins = yields ? 4 : 2000 }

    /// Passes a moment in which nothing has happened.
    mutating func wait() {
        looks += 1
        if looks > spins { sched_yield() } else { relaxProcessor() }
    }

    /// Notes that something has happened.
    mutating func reset() { looks = 0 }
}

/// Processors of this host that are switched on.
func onlineProcessors() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
