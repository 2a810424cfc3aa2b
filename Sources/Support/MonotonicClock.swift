import Glibc

/// The host's clock that never jumps, by `clock_gettime(CLOCK_MONOTONIC)`: all processes of a host
/// read the same, hosts differ.
package enum MonotonicClock {
    /// Nanoseconds since some moment in the past.
    package static var nanoseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
