import Glibc

/// A file that only grows, whole lines at a time.
package struct AppendedFile: ~Copyable {
    package let path: String
    private let descriptor: Int32
    /// Whether half a line may stand at the end, which must go before anything is added.
    private var tornAt: off_t?

    /// Opens a file for appending, and makes it where it is missing; `new` refuses an existing one.
    ///
    /// - Throws: `.inputOutput`.
    package init(opening path: String, new: Bool = false) throws(Failure) {
        self.path = path
        descriptor = open(
            path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | (new ? O_EXCL : 0), 0o666)
        guard descriptor >= 0 else { throw Self.failure("create", path) }
    }

    deinit { close(descriptor) }

    /// Adds text by one write(2); where only a part of it fits, that part is taken back.
    ///
    /// - Throws: `.inputOutput`, the file being as it was.
    package mutating func append(_ text: [UInt8]) throws(Failure) {
        if let tornAt {
            guard ftruncate(descriptor, tornAt) == 0 else { throw Self.failure("write", path) }
            self.tornAt = nil
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.failure("write", path) }
        var written = 0
        repeat {
            written = write(descriptor, text, text.count)
        } while written < 0 && errno == EINTR
        if written == text.count { return }
        let error = written < 0 ? errno : ENOSPC
        if written > 0, ftruncate(descriptor, status.st_size) != 0 { tornAt = status.st_size }
        throw Self.failure("write", path, error: error)
    }

    /// Waits until everything appended is on the disk.
    ///
    /// - Throws: `.inputOutput`.
    package borrowing func synchronize() throws(Failure) {
        guard fsync(descriptor) == 0 else { throw Self.failure("write", path) }
    }

    /// All of a file's bytes, or nil where it does not exist or is a device or pipe, which may be
    /// endless.
    ///
    /// - Throws: `.inputOutput`.
    package static func content(of path: String) throws(Failure) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("read", path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("read", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { return nil }
        var content: [UInt8] = []
        content.reserveCapacity(Int(status.st_size))
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", path) }
            if count == 0 { return content }
            content += chunk[..<count]
        }
    }

    /// Replaces a file's content: all of it is there after a crash, or what was there before.
    ///
    /// - Throws: `.inputOutput`, the file being as it was.
    package static func replace(_ path: String, with content: [UInt8]) throws(Failure) {
        let partial = path + ".partial"
        guard unlink(partial) == 0 || errno == ENOENT else { throw failure("remove", partial) }
        do throws(Failure) {
            var file = try AppendedFile(opening: partial, new: true)
            for start in stride(from: 0, to: content.count, by: 1 << 20) {
                try file.append(Array(content[start..<min(content.count, start + 1 << 20)]))
            }
            try file.synchronize()
            guard rename(partial, path) == 0 else { throw Self.failure("replace", path) }
        } catch {
            unlink(partial)
            throw error
        }
        try synchronizeFolder(of: path)
    }

    /// Brings the names in a file's folder to the disk.
    ///
    /// - Throws: `.inputOutput`.
    package static func synchronizeFolder(of path: String) throws(Failure) {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", folder) }
        defer { close(descriptor) }
        // Some network file systems have no such operation and say so with EINVAL.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure("write", folder) }
    }

    private static func failure(_ action: String, _ path: String, error: Int32 = errno) -> Failure {
        let remedy =
            switch error {
            case ENOSPC, EDQUOT, EFBIG: "free some space there"
            case EEXIST: "choose another output folder, or resume the run that made it"
            default: "check that the folder exists and can be written"
            }
        return Failure(
            .inputOutput,
            "cannot \(action) \(path) (\(String(cString: strerror(error)))): \(remedy)")
    }
}
