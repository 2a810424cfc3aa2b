import Support
import Synchronization

/// The activity of this rank's main thread, from which other ranks learn why they wait.
package enum RankActivity: Int64, Sendable {
    case computing
    case waiting
    case writingCheckpoint
    case readingCheckpoint
    case readingData
    case writingMetrics

    private static let current = Atomic<Int64>(computing.rawValue)
    private static let since = Atomic<Int64>(0)

    /// Runs `body` as an activity of the main thread, then restores the enclosing activity.
    @inline(__always)
    package static func during<Value, Problem: Error>(
        _ activity: RankActivity, _ body: () throws(Problem) -> Value
    ) throws(Problem) -> Value {
        let outer = current.load(ordering: .relaxed)
        guard outer != activity.rawValue else { return try body() }
        let start = since.load(ordering: .relaxed)
        since.store(monotonicSeconds, ordering: .releasing)
        current.store(activity.rawValue, ordering: .releasing)
        // With this order, no reader sees an activity with the earlier start time of another one.
        defer {
            current.store(outer, ordering: .releasing)
            since.store(
                outer == computing.rawValue ? monotonicSeconds : start, ordering: .releasing)
        }
        return try body()
    }

    /// The current activity and its duration in seconds so far.
    package static var now: (activity: RankActivity, seconds: Int64) {
        let activity = RankActivity(rawValue: current.load(ordering: .relaxed)) ?? .computing
        return (activity, max(0, monotonicSeconds - since.load(ordering: .relaxed)))
    }

    /// The activity as it follows "is" in a sentence.
    var description: String {
        switch self {
        case .computing: "computing"
        case .waiting: "waiting"
        case .writingCheckpoint: "writing a checkpoint"
        case .readingCheckpoint: "reading a checkpoint"
        case .readingData: "reading data"
        case .writingMetrics: "writing metrics"
        }
    }

    /// Whether the activity can wait for a disk.
    var usesDisk: Bool { self != .computing && self != .waiting }
}

private var monotonicSeconds: Int64 { MonotonicClock.nanoseconds / 1_000_000_000 }
