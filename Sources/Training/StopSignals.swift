import Failures
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// What somebody asked this process for, by a signal: to checkpoint and stop, or to checkpoint and
/// go on.
///
/// mpirun forwards SIGUSR1 and SIGUSR2 to its ranks. It also forwards SIGTERM, but kills them a
/// second later, so SIGTERM and SIGINT are heeded only where no launcher stands between.
package enum StopSignals {
    private static let stop = Atomic<Bool>(false)
    private static let checkpoint = Atomic<Bool>(false)

    /// Starts to listen to SIGUSR1 and SIGUSR2, which else would end a rank that is still setting
    /// up.
    package static func install() {
        // Globals must exist before a handler, which may not initialise anything, touches them.
        stop.store(false, ordering: .relaxed)
        checkpoint.store(false, ordering: .relaxed)
        listen(to: SIGUSR1, once: false)
        listen(to: SIGUSR2, once: false)
    }

    /// Listens to SIGTERM and SIGINT as well; a second one ends the process at once.
    package static func listenForTermination() {
        listen(to: SIGTERM, once: true)
        listen(to: SIGINT, once: true)
    }

    /// Ends the process at once, with `Failure.Code.requeue`, where SIGUSR1 asks for it: for what
    /// has nothing to keep. mpirun takes the other ranks down.
    package static func exitAtOnce() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in _exit(Failure.Code.requeue.rawValue) }
        sigaction(SIGUSR1, &action, nil)
        // One that came before this, when it was only noted.
        if stopRequested { _exit(Failure.Code.requeue.rawValue) }
    }

    /// Whether to checkpoint and stop.
    package static var stopRequested: Bool { stop.load(ordering: .relaxed) }

    /// Whether to checkpoint; true once for each time it was asked for.
    package static func takeCheckpointRequest() -> Bool {
        checkpoint.exchange(false, ordering: .relaxed)
    }

    private static func listen(to signal: Int32, once: Bool) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { signal in
            if signal == SIGUSR2 {
                StopSignals.checkpoint.store(true, ordering: .relaxed)
            } else {
                StopSignals.stop.store(true, ordering: .relaxed)
            }
        }
        action.sa_flags = once ? Int32(bitPattern: UInt32(SA_RESETHAND)) | SA_RESTART : SA_RESTART
        sigaction(signal, &action, nil)
        // Whoever waits for signals with sigwait, as schedulers' daemons do, blocks them, and their
        // children inherit that.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, signal)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }
}
