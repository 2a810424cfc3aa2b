import Glibc
import Support

/// An input that is read sequentially: a file or standard input.
struct InputFile: ~Copyable {
    private let descriptor: Descriptor
    /// The size in bytes, or nil for a pipe or a device.
    let size: Int?

    /// The name in messages.
    var name: String { descriptor.path }

    /// Opens a path; "-" is standard input.
    ///
    /// - Throws: `Failure` (missing input) if there is no such file; (input/output) if it cannot be
    ///   read.
    init(_ path: String) throws(Failure) {
        let size = try Self.size(of: path)
        let descriptor =
            path == "-"
            ? try Descriptor(standardInput: "standard input") : try Descriptor(reading: path)
        self.size = size
        self.descriptor = descriptor
    }

    /// Returns the size in bytes of the file at a path, or nil for a pipe or a device.
    ///
    /// - Throws: the same failures as `init`.
    static func size(of path: String) throws(Failure) -> Int? {
        guard path != "-" else {
            return try Descriptor(standardInput: "standard input").regularSize()
        }
        guard !FileSystem.isFolder(path) else {
            throw .file(
                .missingInput, path, "is a folder, not a file", remedy: "name the files in it")
        }
        var status = stat()
        guard stat(path, &status) == 0, access(path, R_OK) == 0 else {
            throw .systemCall("opened", path, isReading: true)
        }
        return status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : nil
    }

    /// Fills the buffer as far as there are bytes. Returns the number of bytes, which is 0 at the
    /// end.
    ///
    /// - Throws: `Failure` (input/output) if reading fails.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        try descriptor.read(into: buffer)
    }
}

/// The remedy for a damaged file of a data folder.
let tokenizeAgain = "run lockstep tokenize again"

extension Failure {
    /// Returns the failure for the content of a file, which by default `tokenize` wrote.
    static func badData(
        _ path: String, _ problem: String, remedy: String = tokenizeAgain
    ) -> Failure {
        file(.badData, path, problem, remedy: remedy)
    }
}

/// Reads a file that must be UTF-8.
///
/// - Throws: `Failure` (missing input, input/output); (bad data) that names the first byte that is
///   not UTF-8.
func readTextFile(_ path: String) throws(Failure) -> String {
    let bytes = try readBytes(path)
    let prefix = bytes.withUnsafeBytes { UTF8Prefix(of: $0) }
    guard prefix.bytes == bytes.count else { throw invalidUTF8(path, offset: prefix.bytes) }
    return String(decoding: bytes, as: UTF8.self)
}
