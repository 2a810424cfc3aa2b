import Synchronization

/// The part of a run that this rank's main thread has reached, which reports about waiting ranks
/// name.
package struct RankPlace: Sendable, Hashable {
    package enum Phase: Int64, Sendable {
        /// A part that has no name, such as the start.
        case other
        case passes
        case reduction
        case losses
        case update
        case evaluation
        case checkpoint
        case telemetry
    }

    package let phase: Phase
    /// The number of the step that is being taken, or that was taken last.
    package let step: Int64
    /// The number of the first bucket whose sum is incomplete, and the number of all buckets; only
    /// in the reduction.
    package let bucket: Int64
    package let bucketCount: Int64

    private static let phase = Atomic<Int64>(Phase.other.rawValue)
    private static let step = Atomic<Int64>(0)
    private static let bucket = Atomic<Int64>(0)
    private static let bucketCount = Atomic<Int64>(0)

    /// Records that the main thread has reached a phase.
    @inline(__always)
    package static func enter(_ phase: Phase, step: Int) {
        Self.step.store(Int64(step), ordering: .relaxed)
        Self.phase.store(phase.rawValue, ordering: .relaxed)
    }

    /// Records how many buckets have their sum.
    @inline(__always)
    package static func finishedBuckets(_ finished: Int, of count: Int) {
        bucketCount.store(Int64(count), ordering: .relaxed)
        bucket.store(Int64(min(finished + 1, count)), ordering: .relaxed)
    }

    /// The place that the main thread has reached.
    package static var now: RankPlace {
        let phase = phase.load(ordering: .relaxed)
        let reduces = phase == Phase.reduction.rawValue
        return RankPlace(numbers: [
            phase, step.load(ordering: .relaxed),
            reduces ? bucket.load(ordering: .relaxed) : 0,
            reduces ? bucketCount.load(ordering: .relaxed) : 0,
        ])
    }

    /// Creates a place from its `numbers`.
    init(numbers: [Int64]) {
        phase = Phase(rawValue: numbers[0]) ?? .other
        (step, bucket, bucketCount) = (numbers[1], numbers[2], numbers[3])
    }

    /// The place as numbers for a message.
    var numbers: [Int64] { [phase.rawValue, step, bucket, bucketCount] }

    /// The place as it follows "waiting" or "computing", such as " in the update of step 8"; empty
    /// if it has no name.
    var description: String {
        switch phase {
        case .other: ""
        case .passes: " in the forward and backward passes of step \(step)"
        case .reduction: " for bucket \(bucket) of \(bucketCount) of the gradients of step \(step)"
        case .losses: " in the exchange of losses of step \(step)"
        case .update: " in the update of step \(step)"
        case .evaluation: " in the evaluation after step \(step)"
        case .checkpoint: " in the checkpoint of step \(step)"
        case .telemetry: " in the histograms and texts of step \(step)"
        }
    }
}
