import Failures

#if canImport(Glibc)
    import Glibc

    private let systemWrite = Glibc.write
#else
    import Musl

    private let systemWrite = Musl.write
#endif

/// Standard output as bytes, unbuffered, so that a text appears as it is written.
enum StandardOutput {
    /// Writes all bytes, by `write(2)`.
    ///
    /// - Throws: `Failure` (I/O) where they cannot be written.
    static func write(_ bytes: [UInt8]) throws(Failure) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                systemWrite(
                    STDOUT_FILENO, buffer.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw Failure(
                    .inputOutput,
                    "The text cannot be written: \(String(cString: strerror(errno))); check where "
                        + "standard output goes.")
            }
            written += count
        }
    }
}
