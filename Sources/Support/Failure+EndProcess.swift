import Glibc

extension Failure {
    /// Writes the sentence to standard error and ends the process at once with the exit code.
    ///
    /// Call this only if no caller can recover, as when the system refuses memory or a thread.
    /// mpirun then ends the other ranks.
    package func endProcess() -> Never {
        let bytes = Array("\(line)\n".utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
        _exit(code.rawValue)
    }
}
