import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Whether somebody asked this process to checkpoint and stop, by a signal.
///
/// mpirun forwards SIGUSR1 to its ranks. It also forwards SIGTERM, but kills them a second later, so
/// SIGTERM and SIGINT are heeded only where no launcher stands between.
package enum StopSignals {
    private static let requested = Atomic<Bool>(false)

    /// Starts to listen; `alone` says that this process was not started by a launcher.
    package static func install(alone: Bool) {
        // The global must exist before a handler, which may not initialise anything, touches it.
        requested.store(false, ordering: .relaxed)
        listen(to: SIGUSR1, once: false)
        if alone {
            listen(to: SIGTERM, once: true)
            // A second Ctrl-C ends the process at once.
            listen(to: SIGINT, once: true)
        }
    }

    /// Whether a signal has come.
    package static var stopRequested: Bool { requested.load(ordering: .relaxed) }

    private static func listen(to signal: Int32, once: Bool) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in
            StopSignals.requested.store(true, ordering: .relaxed)
        }
        action.sa_flags = once ? Int32(bitPattern: UInt32(SA_RESETHAND)) | SA_RESTART : SA_RESTART
        sigaction(signal, &action, nil)
    }
}
