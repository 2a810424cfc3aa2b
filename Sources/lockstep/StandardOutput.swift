import Glibc
import Support

/// Standard output as bytes, unbuffered, so that text appears as soon as it is generated.
enum StandardOutput {
    /// Whether standard output is a terminal.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// The size of the terminal; nil if standard output is not a terminal or the size is unknown.
    static var terminalSize: (columns: Int, rows: Int)? {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
        else { return nil }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Writes a line.
    ///
    /// - Throws: `Failure` (I/O) if it cannot be written.
    static func write(line: String) throws(Failure) { try write(Array((line + "\n").utf8)) }

    /// Writes all bytes with `write(2)`. Returns false if the reader has gone, as after `| head`.
    ///
    /// - Throws: `Failure` (I/O) if they cannot be written.
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
                throw .systemCall("written", "standard output", remedy: "check where it goes")
            }
            written += count
        }
        return true
    }
}
