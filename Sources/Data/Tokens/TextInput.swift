import Glibc
import Support

extension Descriptor {
    /// Opens a text file; "-" is standard input.
    ///
    /// - Parameter flags: further flags of `open(2)`.
    /// - Throws: `Failure` (missing input) if there is no such file; (input/output) if it cannot be
    ///   read.
    init(text path: String, _ flags: Int32 = 0) throws(Failure) {
        _ = try Self.textSize(path)
        if path == "-" {
            try self.init(standardInput: "standard input")
        } else {
            try self.init(opening: path, O_RDONLY | flags)
        }
    }

    /// Returns the size of a text file in bytes, or nil for a pipe or a device.
    ///
    /// - Throws: the same failures as `init`.
    static func textSize(_ path: String) throws(Failure) -> Int? {
        guard path != "-" else {
            return try Descriptor(standardInput: "standard input").regularSize()
        }
        guard !FileSystem.isFolder(path) else {
            throw .file(
                .missingInput, path, "is a folder, not a file", remedy: "name the files in it")
        }
        try FileSystem.requireReadable(path)
        return FileSystem.fileSize(path)
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
