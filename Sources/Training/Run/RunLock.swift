import Support

/// The exclusive right to write to a run's folder, which a process holds until it ends.
///
/// A requeued job may start while a hung one still exists; if both wrote, results would be lost.
package final class RunLock {
    private let lock: FileLock

    /// Takes the lock. On a file system without locks, the run continues without one.
    ///
    /// - Throws: `Failure` (configuration) if another process holds it; (I/O) if the lock file
    ///   cannot be opened.
    package init(_ run: RunFolder) throws(Failure) {
        guard let lock = try FileLock(ifFree: "\(run.path)/lock") else {
            throw .file(
                .configuration, run.path, "is locked by another process",
                remedy: "wait until it has ended, or stop it")
        }
        self.lock = lock
    }
}
