import Glibc

/// The clock of the calendar, which can be set.
package enum WallClock {
    /// The seconds since 1970.
    package static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// Returns a moment as text in the local time zone: "14:32:10" on the day of `now`, and
    /// "Thu  3 Dec 14:32" on another day.
    package static func text(_ seconds: Double, now: Double = seconds) -> String {
        guard seconds.isFinite, abs(seconds) < 1e11 else { return "unknown" }
        func parts(_ seconds: Double) -> tm {
            var time = time_t(seconds)
            var parts = tm()
            localtime_r(&time, &parts)
            return parts
        }
        var then = parts(seconds)
        let today = parts(now)
        let isToday = then.tm_yday == today.tm_yday && then.tm_year == today.tm_year
        var buffer = [CChar](repeating: 0, count: 64)
        strftime(&buffer, buffer.count, isToday ? "%H:%M:%S" : "%a %e %b %H:%M", &then)
        return String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
