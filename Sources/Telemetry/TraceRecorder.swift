/// The spans that one rank records for a trace, in memory that is allocated at the start.
///
/// Only one thread may use it. Recording a span neither allocates memory nor makes a system call.
package final class TraceRecorder {
    /// A time span by `MonotonicClock`, in nanoseconds.
    package struct Span: BitwiseCopyable, Sendable, Equatable {
        package let start: Int64
        package let end: Int64
        /// The kind of activity, as numbered by the owner.
        package let kind: Int32
        /// The number of the layer or step.
        package let index: Int32

        package init(start: Int64, end: Int64, kind: Int32, index: Int32) {
            self.start = start
            self.end = end
            self.kind = kind
            self.index = index
        }
    }

    /// The default capacity, which takes 4.6 MiB and is enough for several thousand steps.
    package static let defaultCapacity = 200_000

    /// The maximum number of spans.
    package let capacity: Int
    /// The recorded spans, in the order in which they ended unless they were sorted.
    package private(set) var spans: [Span]
    /// Whether recording has stopped, because another group of spans might not fit completely.
    package private(set) var isFull = false

    /// The number of bytes allocated for spans.
    package var bytes: Int { capacity * MemoryLayout<Span>.stride }

    private var groupStart = 0
    private var longestGroup = 0

    /// Creates a recorder, and allocates and touches memory for `capacity` spans.
    package init(capacity: Int = defaultCapacity) {
        self.capacity = capacity
        // Touching the pages makes them resident before the first span, so that `bytes` is
        // accurate.
        spans = Array(repeating: Span(start: 0, end: 0, kind: 0, index: 0), count: capacity)
        spans.removeAll(keepingCapacity: true)
    }

    /// Sorts the spans by start, the longer before the shorter, which is how a viewer nests them.
    package func sort() { spans.sort { ($0.start, $1.end) < ($1.start, $0.end) } }

    /// Removes all spans that started at a time or later.
    package func drop(from time: Int64) { spans.removeAll { $0.start >= time } }

    /// Begins a group of spans, such as those of one step. A group is kept completely or not at
    /// all.
    package func beginGroup() {
        guard !isFull else { return }
        longestGroup = max(longestGroup, spans.count - groupStart)
        groupStart = spans.count
        // The margin over the longest group allows for groups of different length.
        if groupStart + longestGroup + longestGroup / 4 >= capacity { isFull = true }
    }

    /// Records a span that has ended.
    package func record(_ kind: Int32, index: Int = -1, from start: Int64, to end: Int64) {
        guard !isFull else { return }
        guard spans.count < capacity else {
            spans.removeLast(spans.count - groupStart)
            isFull = true
            return
        }
        spans.append(
            Span(start: start, end: end, kind: kind, index: Int32(truncatingIfNeeded: index)))
    }
}
