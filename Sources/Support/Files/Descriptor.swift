import Glibc

/// An open file or folder, closed at the end of its life.
///
/// Call `close()` after writing: an error of closing cannot be reported at the end of life. All
/// functions throw `.inputOutput`.
package struct Descriptor: ~Copyable {
    /// The path, as messages name it.
    package let path: String
    /// The number of the descriptor.
    package private(set) var number: Int32

    /// Opens a path with the flags of `open(2)`; a new file gets the permissions of the umask.
    ///
    /// - Parameter name: the path in messages; nil for the path itself.
    /// - Throws: `.missingInput` if a file to be read does not exist, `.inputOutput` otherwise.
    package init(opening path: String, _ flags: Int32, named name: String? = nil) throws(Failure) {
        self.path = name ?? path
        number = repeating { open(path, flags | O_CLOEXEC, 0o666) }
        guard number >= 0 else {
            let isReading = flags & (O_WRONLY | O_RDWR) == 0
            throw .systemCall(isReading ? "opened" : "created", self.path, isReading: isReading)
        }
    }

    /// Opens a file for reading.
    ///
    /// - Throws: `.missingInput` if it does not exist, `.inputOutput` otherwise.
    package init(reading path: String) throws(Failure) {
        try self.init(opening: path, O_RDONLY)
    }

    /// Opens the process's standard input.
    ///
    /// - Throws: `.inputOutput` if it is closed.
    package init(standardInput path: String = "standard input") throws(Failure) {
        self.path = path
        number = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
        guard number >= 0 else { throw .systemCall("opened", path) }
    }

    deinit { if number >= 0 { _ = Glibc.close(number) } }

    /// Writes all of the bytes at the current position.
    ///
    /// - Throws: `.inputOutput`; some of the bytes may have been written.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            // Linux writes at most 0x7ffff000 bytes at a time.
            let chunk = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
            let written = repeating { Glibc.write(number, chunk.baseAddress, chunk.count) }
            guard written > 0 else {
                throw .systemCall("written", path, error: written < 0 ? errno : EIO)
            }
            rest = rest.dropFirst(written)
        }
    }

    /// Writes bytes over those at an offset, by `pwrite(2)`.
    package func overwrite(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws(Failure) {
        guard pwrite(number, bytes.baseAddress, bytes.count, offset) == bytes.count else {
            throw .systemCall("written", path)
        }
    }

    /// Reads from the current position, or by `pread(2)` from an offset, until the buffer is full or
    /// the file ends; returns the number of bytes.
    package func read(
        at offset: Int? = nil, into buffer: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> Int {
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let count = repeating {
                guard let offset else { return Glibc.read(number, rest.baseAddress, rest.count) }
                return pread(number, rest.baseAddress, rest.count, offset + filled)
            }
            guard count >= 0 else { throw .systemCall("read", path) }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// The largest number of bytes that are read as a whole, far more than a log of a million steps
    /// has. Devices have no end, and a file with holes can state any size.
    private static let longest = 1 << 31

    /// Reads everything from the current position to the end.
    ///
    /// - Throws: `.inputOutput`; `.badData` if there are more bytes than any file has that is read
    ///   as a whole.
    package func readToEnd() throws(Failure) -> [UInt8] {
        let tooLong = Failure.file(
            .badData, path, "has more than \(Self.longest) bytes", remedy: "check the path")
        let size = try regularSize() ?? 0
        try require(size <= Self.longest, or: tooLong)
        var content: [UInt8] = []
        // Growing step by step would leave freed blocks of every size resident.
        content.reserveCapacity(size)
        try forEachChunk { (chunk) throws(Failure) in
            try require(content.count + chunk.count <= Self.longest, or: tooLong)
            content.append(contentsOf: chunk)
        }
        return content
    }

    /// Reads everything from the current position to the end, in pieces.
    package func forEachChunk(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = try read(into: buffer)
            if count == 0 { return }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// Reads everything from the current position to the end, in pieces as they arrive.
    ///
    /// - Parameter stop: returns whether to stop. It is also called while nothing arrives, at least
    ///   ten times a second.
    /// - Returns: whether the end was reached.
    package func forEachArrival(
        until stop: () -> Bool, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) -> Bool {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
        defer { buffer.deallocate() }
        while !stop() {
            // A read that waits would not return after a signal.
            var state = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
            let ready = poll(&state, 1, 100)
            guard ready >= 0 || errno == EINTR else { throw .systemCall("read", path) }
            guard ready > 0 else { continue }
            let count = repeating { Glibc.read(number, buffer.baseAddress, buffer.count) }
            if count < 0, errno == EAGAIN { continue }
            guard count >= 0 else { throw .systemCall("read", path) }
            if count == 0 { return true }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        return false
    }

    /// The size in bytes; nil for a pipe, a device or a folder.
    package func regularSize() throws(Failure) -> Int? {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .systemCall("examined", path) }
        return status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
    }

    /// The size in bytes.
    ///
    /// - Throws: `.inputOutput`, also if the path is not a regular file.
    package func size() throws(Failure) -> Int {
        guard let size = try regularSize() else {
            throw .file(.inputOutput, path, "is not a regular file", remedy: "check the path")
        }
        return size
    }

    /// Shortens the file; returns whether that succeeded.
    package func truncate(to size: Int) -> Bool { ftruncate(number, size) == 0 }

    /// Waits until everything written is on the disk, by `fsync(2)`.
    ///
    /// Do not retry: after a failure the kernel may have dropped the unwritten pages, and a second
    /// call could report success.
    package func synchronize() throws(Failure) {
        guard fsync(number) == 0 else { throw .systemCall("written", path) }
    }

    /// Asks the kernel to drop its copy of the file, so that the next read comes from the disk.
    package func dropCache() { posix_fadvise(number, 0, 0, POSIX_FADV_DONTNEED) }

    /// Closes the file; network file systems may report a failed write only here.
    package consuming func close() throws(Failure) {
        let status = Glibc.close(number)
        let error = errno
        number = -1
        // Linux closes the file even if it reports an interruption.
        guard status == 0 || error == EINTR else {
            throw .systemCall("written", path, error: error)
        }
    }
}

/// Repeats a system call while a signal interrupts it, and returns its result.
private func repeating<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}
