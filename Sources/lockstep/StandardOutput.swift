import Glibc
import Support

/// Standard output as bytes, unbuffered, so that a text appears as it is written.
enum StandardOutput {
    /// Writes a line.
    ///
    /// - Throws: `Failure` (I/O) where it cannot be written.
    static func write(line: String) throws(Failure) { try write(Array((line + "\n").utf8)) }

    /// Writes all bytes, by `write(2)`; false where nobody reads them any more, as behind `| head`.
    ///
    /// - Throws: `Failure` (I/O) where they cannot be written.
    @discardableResult
    static func write(_ bytes: [UInt8]) throws(Failure) -> Bool {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(
                    STDOUT_FILENO, buffer.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EPIPE { return false }
            guard count > 0 else {
                throw Failure(
                    .inputOutput,
                    "Standard output cannot be written: \(String(cString: strerror(errno))); check where "
                        + "it goes.")
            }
            written += count
        }
        return true
    }
}
