import Glibc
import Support
import Synchronization

/// The requests that this process has received by signal.
///
/// SIGUSR1 requests a checkpoint and a stop; SIGUSR2 requests a checkpoint without a stop. mpirun
/// forwards both to its ranks. If the command can be resumed, SIGTERM, SIGINT and SIGHUP, from a
/// person, a closed terminal, systemd or srun, also request a checkpoint and a stop.
package enum StopSignals {
    private static let stop = Atomic<Bool>(false)
    private static let checkpoint = Atomic<Bool>(false)

    /// Installs handlers for SIGUSR1 and SIGUSR2, which would otherwise kill a rank in set-up.
    package static func install() {
        // A handler must not initialize globals, so they are initialized before it is installed.
        stop.store(false, ordering: .relaxed)
        checkpoint.store(false, ordering: .relaxed)
        listen(to: SIGUSR1, once: false)
        listen(to: SIGUSR2, once: false)
    }

    /// Makes SIGTERM, SIGINT and SIGHUP request a checkpoint and a stop too.
    ///
    /// - Parameter once: whether a second one ends the process at once. A process that stops promptly
    ///   and must remove its files ignores further ones instead.
    package static func listenForTermination(once: Bool = true) {
        listen(to: SIGTERM, once: once)
        listen(to: SIGINT, once: once)
        // Under nohup, SIGHUP is ignored, so that a closed terminal does not stop the run.
        var hangup = sigaction()
        sigaction(SIGHUP, nil, &hangup)
        let isIgnored = withUnsafeBytes(of: hangup.__sigaction_handler) { handler in
            withUnsafeBytes(of: SIG_IGN) { handler.elementsEqual($0) }
        }
        if !isIgnored { listen(to: SIGHUP, once: once) }
    }

    /// Makes SIGUSR1 and SIGTERM end the process at once with `Failure.Code.requeue`, for commands
    /// that have no state to save. mpirun then ends the other ranks.
    package static func exitAtOnce() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in _exit(Failure.Code.requeue.rawValue) }
        sigaction(SIGUSR1, &action, nil)
        sigaction(SIGTERM, &action, nil)
        // A signal that arrived earlier has only set the flag.
        if stopRequested { _exit(Failure.Code.requeue.rawValue) }
    }

    /// Whether a signal requested a checkpoint and a stop.
    package static var stopRequested: Bool { stop.load(ordering: .relaxed) }

    /// Returns whether a signal has requested a checkpoint since the last call.
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
        // Processes that wait for signals with sigwait, such as schedulers' daemons, block them,
        // and their children inherit the mask.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, signal)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }
}
