import Dispatch
import Glibc
import Synchronization

/// A function that runs once, on a thread of its own, slowly until another thread waits for it.
package final class BackgroundTask<Value: Sendable>: Sendable {
    private let outcome = Mutex<Result<Value, Failure>?>(nil)
    private let end = DispatchSemaphore(value: 0)
    private let pace = BackgroundPace()

    /// Starts the function. It runs at once if the system refuses another thread.
    ///
    /// - Parameters:
    ///   - name: the thread's name in tools such as `top`, of at most 15 characters.
    ///   - body: the function, which must rest often.
    package init(
        named name: String,
        _ body: @escaping @Sendable (BackgroundPace) throws(Failure) -> Value
    ) {
        let run: @Sendable () -> Void = { [self] in
            let outcome = Result { () throws(Failure) in try body(pace) }
            self.outcome.withLock { $0 = outcome }
            end.signal()
        }
        let start = ThreadStart {
            // A missing name does no harm.
            try? nameThisThread(name)
            run()
        }
        if !start.detach() {
            pace.hurry()
            run()
        }
    }

    /// Whether the function has ended.
    package var hasEnded: Bool { outcome.withLock { $0 != nil } }

    /// Waits until the function has ended, and returns what it returned or threw.
    package func wait() -> Result<Value, Failure> {
        pace.hurry()
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
