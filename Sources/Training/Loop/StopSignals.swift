import Glibc
import Support
import Synchronization

/// The requests that signals made of this process.
///
/// SIGUSR1 asks it to checkpoint and stop, and SIGUSR2 to checkpoint and continue; mpirun forwards both
/// to its ranks. SIGTERM, SIGINT and SIGHUP also ask a command that can be resumed to checkpoint and
/// stop, whether they come from a person, a closed terminal, systemd or srun.
package enum StopSignals {
    private static let stop = Atomic<Bool>(false)
    private static let checkpoint = Atomic<Bool>(false)

    /// Installs handlers for SIGUSR1 and SIGUSR2; without them the signals would kill a rank during
    /// set-up.
    package static func install() {
        // Globals must exist before a handler, which may not initialize anything, touches them.
        stop.store(false, ordering: .relaxed)
        checkpoint.store(false, ordering: .relaxed)
        listen(to: SIGUSR1, once: false)
        listen(to: SIGUSR2, once: false)
    }

    /// Makes SIGTERM, SIGINT and SIGHUP ask for a checkpoint too; a second one ends the process at
    /// once.
    package static func listenForTermination() {
        listen(to: SIGTERM, once: true)
        listen(to: SIGINT, once: true)
        // Under nohup, SIGHUP is ignored, and a closed terminal must not stop the run.
        var hangup = sigaction()
        sigaction(SIGHUP, nil, &hangup)
        let isIgnored = withUnsafeBytes(of: hangup.__sigaction_handler) { handler in
            withUnsafeBytes(of: SIG_IGN) { handler.elementsEqual($0) }
        }
        if !isIgnored { listen(to: SIGHUP, once: true) }
    }

    /// Makes SIGUSR1 and SIGTERM end the process at once, with `Failure.Code.requeue`: for commands
    /// that have nothing to keep. mpirun takes the other ranks down.
    package static func exitAtOnce() {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in _exit(Failure.Code.requeue.rawValue) }
        sigaction(SIGUSR1, &action, nil)
        sigaction(SIGTERM, &action, nil)
        // A signal that arrived earlier was only noted.
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
