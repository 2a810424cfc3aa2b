import Foundation
import Support
import Telemetry
import Testing

@Suite struct TraceTests {
    @Test("spans are kept in the order in which they end")
    func spansAreKeptInTheOrderInWhichTheyEnd() {
        let recorder = TraceRecorder(capacity: 10)
        recorder.beginGroup()
        recorder.record(1, index: 4, from: 10, to: 20)
        recorder.record(0, from: 5, to: 30)
        #expect(
            recorder.spans == [
                .init(start: 10, end: 20, kind: 1, index: 4),
                .init(start: 5, end: 30, kind: 0, index: -1),
            ])
        #expect(!recorder.isFull)
    }

    /// A group that would end beyond the capacity is not begun.
    @Test("only complete groups are kept", arguments: [10, 11, 12, 40])
    func onlyCompleteGroupsAreKept(capacity: Int) {
        let recorder = TraceRecorder(capacity: capacity)
        for group in 0..<100 {
            recorder.beginGroup()
            for place in 0..<3 {
                recorder.record(Int32(place), index: group, from: Int64(group), to: Int64(group))
            }
        }
        #expect(recorder.isFull)
        #expect(recorder.spans.count <= capacity && recorder.spans.count > 0)
        #expect(recorder.spans.count % 3 == 0)
        #expect(recorder.spans.map(\.index) == recorder.spans.indices.map { Int32($0 / 3) })
    }

    @Test("a group that is longer than all previous ones is dropped completely")
    func longestGroupIsDroppedCompletely() {
        let recorder = TraceRecorder(capacity: 8)
        recorder.beginGroup()
        recorder.record(0, from: 0, to: 1)
        recorder.beginGroup()
        for index in 0..<20 { recorder.record(1, index: index, from: 2, to: 3) }
        #expect(recorder.isFull)
        #expect(recorder.spans == [.init(start: 0, end: 1, kind: 0, index: -1)])
        recorder.beginGroup()
        recorder.record(2, from: 4, to: 5)
        #expect(recorder.spans.count == 1, "it has stopped for good")
    }

    /// The names and units of Google's "Trace Event Format".
    @Test("lines have Chrome's format")
    func linesHaveChromesFormat() throws {
        let event = ChromeTrace.event(
            "attention", category: "forward", process: 3, start: 1_234_567, duration: 1500,
            detail: (key: "layer", value: 7))
        #expect(
            event.text
                == #"{"name":"attention","cat":"forward","ph":"X","ts":1234.567,"dur":1.5,"#
                + #""pid":3,"tid":0,"args":{"layer":7}}"#)
        let heads = ChromeTrace.process(3, name: "rank 3 on \"a\"", labels: "b")
        let text =
            ChromeTrace.opening
            + (heads + [event]).map(\.text).joined(separator: ChromeTrace.separator)
            + ChromeTrace.closing
        let lines = try #require(
            try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
        #expect(lines.map { $0["ph"] as? String } == ["M", "M", "M", "X"])
        #expect((lines[0]["args"] as? [String: String]) == ["name": "rank 3 on \"a\""])
    }

    @Test("the clock never goes back")
    func clockNeverGoesBack() {
        let times = (0..<1000).map { _ in MonotonicClock.nanoseconds }
        #expect(times == times.sorted())
        let before = MonotonicClock.nanoseconds
        usleep(2000)
        let elapsed = MonotonicClock.nanoseconds - before
        #expect(elapsed >= 2_000_000 && elapsed < 2_000_000_000)
    }
}
