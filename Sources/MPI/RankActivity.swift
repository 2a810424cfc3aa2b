import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// What this rank's main thread is doing now, for whoever asks why other ranks wait.
package enum RankActivity: Int64, Sendable {
    case computing
    case waiting
    case writingCheckpoint
    case readingCheckpoint

    private static let current = Atomic<Int64>(computing.rawValue)
    private static let since = Atomic<Int64>(0)

    /// Runs `body` as an activity of the main thread; the outermost one counts.
    @inline(__always)
    package static func during<Value, Problem: Error>(
        _ activity: RankActivity, _ body: () throws(Problem) -> Value
    ) throws(Problem) -> Value {
        guard current.load(ordering: .relaxed) == computing.rawValue else { return try body() }
        set(activity)
        defer { set(.computing) }
        return try body()
    }

    private static func set(_ activity: RankActivity) {
        since.store(monotonicSeconds, ordering: .relaxed)
        current.store(activity.rawValue, ordering: .relaxed)
    }

    /// The activity and how many seconds it has lasted.
    static var now: (activity: RankActivity, seconds: Int64) {
        let activity = RankActivity(rawValue: current.load(ordering: .relaxed)) ?? .computing
        return (activity, max(0, monotonicSeconds - since.load(ordering: .relaxed)))
    }

    /// What to say of a rank with this activity.
    var description: String {
        switch self {
        case .computing: "is computing"
        case .waiting: "is waiting"
        case .writingCheckpoint: "is writing a checkpoint"
        case .readingCheckpoint: "is reading a checkpoint"
        }
    }
}

/// Seconds of `CLOCK_MONOTONIC`.
private var monotonicSeconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec)
}
