import Foundation
import Support
import Testing

/// Returns the nice value of this thread.
private func niceValue() -> Int32 { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) }

@Suite struct BackgroundTaskTests {
    @Test("a task returns its value, and its thread alone has low priority")
    func returnsItsValue() throws {
        let before = niceValue()
        let task = BackgroundTask(named: "test") { () throws(Failure) in
            niceValue()
        }
        #expect(try task.wait().get() == min(19, before + 15))
        #expect(task.hasEnded)
        #expect(niceValue() == before)
        #expect(try task.wait().get() == min(19, before + 15), "waiting again returns at once")
    }

    @Test("the failure of a task reaches the one who waits")
    func failureIsKept() {
        let failure = Failure(.inputOutput, "stop")
        let task = BackgroundTask<Int>(named: "test") { () throws(Failure) in throw failure }
        #expect(task.wait() == .failure(failure))
    }

    @Test("a task has not ended while it waits")
    func endsOnce() {
        let gate = DispatchSemaphore(value: 0)
        let task = BackgroundTask<Int>(named: "test") { () throws(Failure) in
            gate.wait()
            return 1
        }
        #expect(!task.hasEnded)
        gate.signal()
        #expect(task.wait() == .success(1))
    }
}
