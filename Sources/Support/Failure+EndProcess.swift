import Glibc

extension Failure {
    /// Ends the process at once, with the sentence on stderr and the code: for memory or threads that
    /// the system refuses, without which no caller could go on. mpirun ends the other ranks.
    package func endProcess() -> Never {
        let bytes = Array("\(line)\n".utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
        _exit(code.rawValue)
    }
}
