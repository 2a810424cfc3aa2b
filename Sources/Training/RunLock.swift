import Glibc
import Support

/// The right to write to a run's folder, which one process at a time has, until it ends.
///
/// A requeued job may start while a hung one is still there; both writing would lose results.
package final class RunLock {
    private let descriptor: Int32

    /// Takes the lock, by `flock`.
    ///
    /// A file system without locks has none to take; the run goes on without.
    ///
    /// - Throws: `Failure` (configuration) where another process has it; (I/O) where the lock's
    ///   file cannot be opened.
    package init(_ run: RunFolder) throws(Failure) {
        let path = "\(run.path)/lock"
        descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw Failure(
                .inputOutput,
                "\(path) cannot be opened: \(String(cString: strerror(errno))); check that the folder "
                    + "can be written.")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK else { return }
        close(descriptor)
        throw Failure(
            .configuration,
            "Another process is at work in \(run.path): wait until it has ended, or stop it."
        )
    }

    deinit { close(descriptor) }
}
