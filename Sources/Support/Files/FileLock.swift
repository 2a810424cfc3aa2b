import Glibc

/// An exclusive lock on a file, by `flock(2)`, which ends with the process.
package struct FileLock: ~Copyable {
    private let descriptor: Descriptor

    /// Waits for the lock.
    ///
    /// - Throws: `.inputOutput` if the file cannot be opened or the file system has no locks.
    package init(waitingFor path: String) throws(Failure) {
        let descriptor = try Descriptor(opening: path, O_CREAT | O_RDWR | O_NOFOLLOW)
        guard flock(descriptor.number, LOCK_EX) == 0 else {
            throw .systemCall("locked", path, remedy: "use a file system that has locks")
        }
        self.descriptor = descriptor
    }

    /// Takes the lock if it is free; nil if another process holds it. Succeeds on a file system that has
    /// no locks.
    ///
    /// - Throws: `.inputOutput` if the file cannot be opened.
    package init?(ifFree path: String) throws(Failure) {
        let descriptor = try Descriptor(opening: path, O_CREAT | O_RDWR | O_NOFOLLOW)
        let isHeld = flock(descriptor.number, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
        if isHeld { return nil }
        self.descriptor = descriptor
    }
}
