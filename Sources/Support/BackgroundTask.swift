import Dispatch
import Glibc
import Synchronization

/// A function that runs once, on a thread of low priority.
///
/// The thread gets little time on a core that other threads keep busy, and all the time of a core
/// that is idle.
package final class BackgroundTask<Value: Sendable>: Sendable {
    private let outcome = Mutex<Result<Value, Failure>?>(nil)
    private let end = DispatchSemaphore(value: 0)

    /// Starts the function. It runs at once if the system refuses another thread.
    ///
    /// - Parameter name: the thread's name in tools such as `top`, of at most 15 characters.
    package init(named name: String, _ body: @escaping @Sendable () throws(Failure) -> Value) {
        let run: @Sendable () -> Void = { [self] in
            let outcome = Result(catching: body)
            self.outcome.withLock { $0 = outcome }
            end.signal()
        }
        let start = ThreadStart {
            // A missing name does no harm.
            try? nameThisThread(name)
            // On Linux, the nice value is that of the calling thread. One of 15 gives it a 28th of
            // the time of a thread with 0, and the lowest priority at the disk.
            _ = nice(15)
            run()
        }
        if !start.detach() { run() }
    }

    /// Whether the function has ended.
    package var hasEnded: Bool { outcome.withLock { $0 != nil } }

    /// Waits until the function has ended, and returns what it returned or threw.
    package func wait() -> Result<Value, Failure> {
        end.wait()
        end.signal()
        guard let outcome = outcome.withLock({ $0 }) else {
            preconditionFailure("a task that has ended must have an outcome")
        }
        return outcome
    }
}

private func nameThisThread(_ name: String) throws(Failure) {
    let file = try Descriptor(opening: "/proc/thread-self/comm", O_WRONLY)
    try Array(name.utf8).withUnsafeBufferPointer { (bytes) throws(Failure) in
        try file.write(UnsafeRawBufferPointer(bytes))
    }
}

/// The work of a new thread.
private final class ThreadStart {
    private let run: () -> Void

    init(_ run: @escaping () -> Void) { self.run = run }

    /// Starts a thread that nobody joins; returns whether the system allowed it.
    func detach() -> Bool {
        var thread = pthread_t()
        let retained = Unmanaged.passRetained(self)
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, retained.toOpaque())
        guard status == 0 else {
            retained.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}
