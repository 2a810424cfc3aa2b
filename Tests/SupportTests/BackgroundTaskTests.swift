import Foundation
import Support
import Testing

@Suite struct BackgroundTaskTests {
    @Test("a task returns its value, also to a second one who waits")
    func returnsItsValue() {
        let task = BackgroundTask(named: "test") { (_) throws(Failure) in 7 }
        #expect(task.wait() == .success(7))
        #expect(task.hasEnded)
        #expect(task.wait() == .success(7))
    }

    @Test("the failure of a task reaches the one who waits")
    func failureIsKept() {
        let failure = Failure(.inputOutput, "stop")
        let task = BackgroundTask<Int>(named: "test") { (_) throws(Failure) in throw failure }
        #expect(task.wait() == .failure(failure))
    }

    @Test("a task that waits is still running")
    func endsOnce() {
        let gate = DispatchSemaphore(value: 0)
        let task = BackgroundTask<Int>(named: "test") { (_) throws(Failure) in
            gate.wait()
            return 1
        }
        #expect(!task.hasEnded)
        gate.signal()
        #expect(task.wait() == .success(1))
    }

    @Test("a thread that rests uses a small part of a core")
    func restsLongerThanItWorks() throws {
        let task = BackgroundTask(named: "test") { (pace) throws(Failure) -> Double in
            func time(_ clock: clockid_t) -> Double {
                var time = timespec()
                clock_gettime(clock, &time)
                return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
            }
            let (start, worked) = (time(CLOCK_MONOTONIC), time(CLOCK_THREAD_CPUTIME_ID))
            while time(CLOCK_THREAD_CPUTIME_ID) - worked < 0.02 { pace.rest() }
            return (time(CLOCK_THREAD_CPUTIME_ID) - worked) / (time(CLOCK_MONOTONIC) - start)
        }
        while !task.hasEnded { usleep(1000) }
        #expect(try task.wait().get() < 0.1)
    }
}
