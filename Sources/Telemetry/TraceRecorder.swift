/// Spans of time that one rank notes for a trace, in memory that is set aside at the start.
///
/// One thread uses it. Noting a span neither allocates nor asks the system for anything.
package final class TraceRecorder {
    /// Something that lasted from one time to another, by `MonotonicClock`, in nanoseconds.
    package struct Span: BitwiseCopyable, Sendable, Equatable {
        package let start: Int64
        package let end: Int64
        /// What it was, as the owner numbers things.
        package let kind: Int32
        /// Which of them: a layer, a step.
        package let index: Int32

        package init(start: Int64, end: Int64, kind: Int32, index: Int32) {
            self.start = start
            self.end = end
            self.kind = kind
            self.index = index
        }
    }

    /// The most spans that are kept by default: 4.6 MiB, some thousand steps.
    package static let defaultCapacity = 200_000

    /// The most spans that are kept.
    package let capacity: Int
    /// What was noted, in the order in which it ended, until it was sorted.
    package private(set) var spans: [Span]
    /// Whether it has stopped, because another group of spans might not fit as a whole.
    package private(set) var isFull = false

    /// Bytes that are set aside.
    package var bytes: Int { capacity * MemoryLayout<Span>.stride }

    private var groupStart = 0
    private var longestGroup = 0

    package init(capacity: Int = defaultCapacity) {
        self.capacity = capacity
        // Its pages are there before the first span, as `bytes` says.
        spans = Array(repeating: Span(start: 0, end: 0, kind: 0, index: 0), count: capacity)
        spans.removeAll(keepingCapacity: true)
    }

    /// Sorts the spans in place, as a viewer nests them: by start, the longer before the shorter.
    package func sort() { spans.sort { ($0.start, $1.end) < ($1.start, $0.end) } }

    /// Drops all spans that began at some time or later.
    package func drop(from time: Int64) { spans.removeAll { $0.start >= time } }

    /// Begins spans that belong together, as those of one step; they are kept all or none.
    package func beginGroup() {
        guard !isFull else { return }
        longestGroup = max(longestGroup, spans.count - groupStart)
        groupStart = spans.count
        // A little more than the longest, since groups differ.
        if groupStart + longestGroup + longestGroup / 4 >= capacity { isFull = true }
    }

    /// Notes a span that has ended.
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
