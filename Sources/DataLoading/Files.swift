import Glibc
import Support

/// What the operating system last said was wrong.
func systemError(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }

/// Whether anything has this path, a dangling link included.
func fileExists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
}

/// Whether a folder has this path.
func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// The names in a folder, sorted by their bytes, without "." and "..".
///
/// - Throws: `Failure` (missing input or input/output) if it cannot be listed.
func names(inFolder path: String) throws(Failure) -> [String] {
    guard let folder = opendir(path) else {
        let code = errno
        throw Failure(
            code == ENOENT || code == ENOTDIR ? .missingInput : .inputOutput,
            "the folder \(path) cannot be listed: \(systemError(code)); name a folder that can.")
    }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}

/// A file or standard input that is read from beginning to end.
struct InputFile: ~Copyable {
    private let descriptor: Int32
    private let isStandardInput: Bool
    /// What messages call it.
    let name: String
    /// The size in bytes where it is a plain file.
    let size: Int?

    /// Opens a path; "-" is standard input.
    ///
    /// - Throws: `Failure` (missing input) if there is no such file, (input/output) if it cannot be
    ///   read.
    init(_ path: String) throws(Failure) {
        let size = try Self.size(of: path)
        let isStandardInput = path == "-"
        let descriptor = isStandardInput ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.cannotOpen(path, errno) }
        self.size = size
        self.isStandardInput = isStandardInput
        self.descriptor = descriptor
        name = isStandardInput ? "standard input" : path
    }

    /// The size in bytes of what a path names, without opening it; nil for pipes and the like.
    ///
    /// - Throws: `Failure` (missing input) if there is no such file, (input/output) if it cannot be
    ///   read.
    static func size(of path: String) throws(Failure) -> Int? {
        var status = stat()
        if path == "-" {
            guard fstat(STDIN_FILENO, &status) == 0 else { throw cannotOpen(path, errno) }
        } else {
            guard stat(path, &status) == 0, access(path, R_OK) == 0 else {
                throw cannotOpen(path, errno)
            }
        }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw Failure(
                .missingInput, "\(path) is a folder, not a file; name the files in it.")
        }
        return status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
    }

    private static func cannotOpen(_ path: String, _ code: Int32) -> Failure {
        Failure(
            code == ENOENT || code == ENOTDIR ? .missingInput : .inputOutput,
            "\(path) cannot be opened: \(systemError(code)); name a file that can be read.")
    }

    deinit { if !isStandardInput { close(descriptor) } }

    /// Fills as much of the buffer as there are bytes, and returns their number; 0 at the end.
    ///
    /// - Throws: `Failure` (input/output) if reading fails.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = readFile(
                descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure(
                    .inputOutput,
                    "\(name) cannot be read: \(systemError()); check the disk it is on.")
            }
            if count == 0 { break }
            filled += count
        }
        return filled
    }
}

/// The content of a file.
///
/// - Throws: `Failure` (missing input or input/output) that names the file.
func readWholeFile(_ path: String) throws(Failure) -> [UInt8] {
    let file = try InputFile(path)
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: max(1 << 16, file.size ?? 0))
    while true {
        var outcome: Result<Int, Failure> = .success(0)
        chunk.withUnsafeMutableBytes { bytes in
            do throws(Failure) { outcome = .success(try file.read(into: bytes)) } catch {
                outcome = .failure(error)
            }
        }
        let count = try outcome.get()
        if count == 0 { return content }
        content += chunk[..<count]
    }
}

/// The content of a file that must be UTF-8.
///
/// - Throws: `Failure` (missing input, input/output, or bad data) that names the file.
func readTextFile(_ path: String) throws(Failure) -> String {
    let bytes = try readWholeFile(path)
    let prefix = bytes.withUnsafeBytes { UTF8Prefix(of: $0) }
    guard prefix.bytes == bytes.count else { throw invalidUTF8(path, offset: prefix.bytes) }
    return String(decoding: bytes, as: UTF8.self)
}

// The system call shares its name with a method here.
private func readFile(_ number: Int32, _ bytes: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(number, bytes, count)
}
