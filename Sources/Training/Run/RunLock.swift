import Support

/// The right to write to a run's folder, which one process at a time has, until it ends.
///
/// A requeued job may start while a hung one still exists; if both wrote, results would be lost.
package final class RunLock {
    private let lock: FileLock

    /// Takes the lock. On a file system without locks, the run continues without one.
    ///
    /// - Throws: `Failure` (configuration) if another process has it; (I/O) if the lock's file cannot
    ///   be opened.
    package init(_ run: RunFolder) throws(Failure) {
        guard let lock = try FileLock(ifFree: "\(run.path)/lock") else {
            throw Failure(
                .configuration,
                "Another process is at work in \(run.path); wait until it has ended, or stop it.")
        }
        self.lock = lock
    }
}
