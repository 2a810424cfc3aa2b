import Glibc

/// An open file or folder, closed at the end of its life.
///
/// Whoever has written through it must call `close()`, whose result the end of life cannot report.
package struct Descriptor: ~Copyable {
    package let path: String
    package private(set) var number: Int32

    /// Opens a path with the flags of open(2); a new file gets the permissions of the umask.
    ///
    /// - Throws: `.missingInput` where a file to be read is absent, else `.inputOutput`.
    package init(opening path: String, _ flags: Int32) throws(Failure) {
        self.path = path
        number = repeating { open(path, flags | O_CLOEXEC, 0o666) }
        guard number >= 0 else {
            let reading = flags & (O_WRONLY | O_RDWR) == 0
            throw .systemCall(
                reading ? "open" : "create", path, error: errno, reading: reading)
        }
    }

    deinit { if number >= 0 { _ = closeFile(number) } }

    /// Writes all of the bytes at the file's end.
    ///
    /// - Throws: `.inputOutput`, with part of the bytes possibly written.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            // Linux writes at most 0x7ffff000 bytes at a time.
            let chunk = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            let written = repeating { writeFile(number, chunk.baseAddress, chunk.count) }
            guard written > 0 else {
                throw .systemCall("write", path, error: written < 0 ? errno : EIO)
            }
            rest = rest.dropFirst(written)
        }
    }

    /// Reads up to the buffer's size from the current place; 0 at the file's end.
    ///
    /// - Throws: `.inputOutput`.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        let count = repeating { readFile(number, buffer.baseAddress, buffer.count) }
        guard count >= 0 else { throw .systemCall("read", path, error: errno) }
        return count
    }

    /// The file's size in bytes.
    ///
    /// - Throws: `.inputOutput`, also where the path is not a regular file.
    package func size() throws(Failure) -> Int {
        var status = stat()
        guard fstat(number, &status) == 0 else {
            throw .systemCall("examine", path, error: errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(.inputOutput, "cannot read \(path): it is not a regular file")
        }
        return Int(status.st_size)
    }

    /// Waits until everything written is on the disk: fsync(2).
    ///
    /// After a failure the kernel may have dropped the unwritten pages and a second call could
    /// report success, so a caller must not try again but give the file up.
    ///
    /// - Throws: `.inputOutput`.
    package func synchronize() throws(Failure) {
        guard fsync(number) == 0 else { throw .systemCall("write", path, error: errno) }
    }

    /// Asks the kernel to forget its copy of the file, so that the next read comes from the disk.
    package func dropCache() { posix_fadvise(number, 0, 0, POSIX_FADV_DONTNEED) }

    /// Closes the file; network file systems may report a failed write only here.
    ///
    /// - Throws: `.inputOutput`.
    package consuming func close() throws(Failure) {
        let status = closeFile(number)
        let error = errno
        number = -1
        // Linux has closed the file even when it reports an interruption.
        guard status == 0 || error == EINTR else {
            throw .systemCall("write", path, error: error)
        }
    }
}

/// The result of a system call, made again for as long as a signal interrupts it.
private func repeating<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}

// The system calls that share their names with methods here.
private func closeFile(_ number: Int32) -> Int32 { close(number) }

private func readFile(_ number: Int32, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(number, bytes, count)
}

private func writeFile(_ number: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(number, bytes, count)
}
