import Glibc

/// The monotonic clock of the host, `clock_gettime(CLOCK_MONOTONIC)`.
///
/// All processes of a host read the same clock; the clocks of different hosts are unrelated.
package enum MonotonicClock {
    /// The nanoseconds since an unspecified moment in the past.
    package static var nanoseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
