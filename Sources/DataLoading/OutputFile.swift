import Glibc
import Support

/// A file that appears under its name only when it is whole and on disk.
///
/// Bytes go to `PATH.partial`; `commit` syncs and renames it. A file that is not committed leaves
/// nothing behind, and one that exists is never overwritten.
struct OutputFile: ~Copyable {
    private static let bufferSize = 1 << 20

    let path: String
    private var descriptor: Int32
    private let buffer: UnsafeMutableRawBufferPointer
    private var buffered = 0

    private var partialPath: String { path + ".partial" }

    /// Starts a new file.
    ///
    /// - Throws: `Failure` (input/output) if the file or its partial one exists, or cannot be made.
    init(_ path: String) throws(Failure) {
        self.path = path
        buffer = .allocate(byteCount: Self.bufferSize, alignment: 64)
        descriptor = -1
        try Self.refuseExisting(path)
        descriptor = open(path + ".partial", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            let remedy =
                errno == EEXIST
                ? "remove it if no other process is writing it" : "choose another place to write to"
            throw Failure(
                .inputOutput, "\(path).partial cannot be made: \(systemError()); \(remedy).")
        }
    }

    deinit {
        if descriptor >= 0 {
            close(descriptor)
            unlink(partialPath)
        }
        buffer.deallocate()
    }

    /// Appends bytes.
    ///
    /// - Throws: `Failure` (input/output) if they cannot be written, as on a full disk.
    mutating func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            if buffered == buffer.count { try flush() }
            let count = min(rest.count, buffer.count - buffered)
            UnsafeMutableRawBufferPointer(rebasing: buffer[buffered...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
            buffered += count
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        }
    }

    /// Appends a text's UTF-8.
    ///
    /// - Throws: `Failure` (input/output) if it cannot be written.
    mutating func write(_ text: String) throws(Failure) {
        for start in stride(from: 0, to: text.utf8.count, by: Self.bufferSize) {
            let piece = Array(text.utf8.dropFirst(start).prefix(Self.bufferSize))
            var outcome: Failure?
            piece.withUnsafeBytes { bytes in
                do throws(Failure) { try write(bytes) } catch { outcome = error }
            }
            if let outcome { throw outcome }
        }
    }

    /// Replaces bytes at the file's start, which must have been appended before.
    ///
    /// - Throws: `Failure` (input/output) if they cannot be written.
    mutating func overwriteStart(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        try flush()
        guard pwrite(descriptor, bytes.baseAddress, bytes.count, 0) == bytes.count else {
            throw writeFailure()
        }
    }

    /// Brings everything to disk and gives the file its name.
    ///
    /// - Throws: `Failure` (input/output) if that fails; nothing is left behind then.
    consuming func commit() throws(Failure) {
        try flush()
        guard fsync(descriptor) == 0 else { throw writeFailure() }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0 else {
            let failure = writeFailure()
            unlink(partialPath)
            throw failure
        }
        do throws(Failure) { try Self.refuseExisting(path) } catch {
            unlink(partialPath)
            throw error
        }
        guard rename(partialPath, path) == 0 else {
            let failure = writeFailure()
            unlink(partialPath)
            throw failure
        }
        try syncFolder(of: path)
    }

    private mutating func flush() throws(Failure) {
        var written = 0
        while written < buffered {
            let count = writeFile(
                descriptor, buffer.baseAddress?.advanced(by: written), buffered - written)
            if count < 0 {
                if errno == EINTR { continue }
                throw writeFailure()
            }
            written += count
        }
        buffered = 0
    }

    private func writeFailure() -> Failure {
        Failure(
            .inputOutput,
            "\(path) cannot be written: \(systemError()); make room or choose another place to "
                + "write to.")
    }

    private static func refuseExisting(_ path: String) throws(Failure) {
        guard !fileExists(path) else {
            throw Failure(
                .inputOutput,
                "\(path) exists and is never overwritten; remove it or choose another name.")
        }
    }
}

/// Writes a text as a file, whole or not at all, never over an existing one.
///
/// - Throws: `Failure` (input/output) if the file exists or cannot be written.
func writeWholeFile(_ path: String, text: String) throws(Failure) {
    var file = try OutputFile(path)
    try file.write(text)
    try file.commit()
}

/// Brings a folder's list of names to disk, so that a rename in it survives a power failure.
///
/// - Throws: `Failure` (input/output) if that fails.
func syncFolder(of path: String) throws(Failure) {
    let folder = parentFolder(of: path)
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    guard descriptor >= 0, fsync(descriptor) == 0 || errno == EINVAL else {
        throw Failure(
            .inputOutput,
            "the folder \(folder) cannot be synced: \(systemError()); check the disk it is on.")
    }
}

/// The folder in which a path lies.
func parentFolder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

// The system call shares its name with a method here.
private func writeFile(_ number: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(number, bytes, count)
}
