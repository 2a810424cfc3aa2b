import Glibc

/// A file's size and SHA-256, by which damage to it is noticed.
package struct FileRecord: Sendable, Equatable, Codable {
    /// Bytes.
    package let size: Int
    /// 64 hexadecimal digits.
    package let sha256: String

    package init(size: Int, sha256: String) {
        self.size = size
        self.sha256 = sha256
    }

    /// Reads a whole file and hashes it.
    ///
    /// It uses read(2) and not a memory map, so that a failing disk is an error and not a signal.
    ///
    /// - Throws: `.missingInput`, `.inputOutput`.
    package init(reading path: String) throws(Failure) {
        let file = try Descriptor(opening: path, O_RDONLY)
        _ = try file.size()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
        defer { buffer.deallocate() }
        var hash = SHA256()
        var size = 0
        while true {
            let count = try file.read(into: buffer)
            if count == 0 { break }
            hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            size += count
        }
        self.init(size: size, sha256: hash.finish())
    }
}

/// A file being written from start to end, hashed on the way.
package struct OutputFile: ~Copyable {
    private let descriptor: Descriptor
    private var hash = SHA256()
    /// Bytes written so far.
    package private(set) var size = 0

    /// Creates a file, or empties the one that is there.
    ///
    /// - Throws: `.inputOutput`.
    package init(creating path: String) throws(Failure) {
        descriptor = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_TRUNC)
    }

    /// Appends bytes.
    ///
    /// - Throws: `.inputOutput`.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        try descriptor.write(bytes)
        hash.update(bytes)
        size += bytes.count
    }

    /// Appends a string's UTF-8.
    ///
    /// - Throws: `.inputOutput`.
    package mutating func write(_ string: String) throws(Failure) {
        try write(Array(string.utf8))
    }

    /// Appends bytes.
    ///
    /// - Throws: `.inputOutput`.
    package mutating func write(_ bytes: [UInt8]) throws(Failure) {
        let failure: Failure? = bytes.withUnsafeBytes { bytes in
            do throws(Failure) {
                try write(bytes)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    /// Brings the file to the disk and closes it; returns its size and digest.
    ///
    /// - Throws: `.inputOutput`; the file is then not to be trusted.
    package consuming func finish() throws(Failure) -> FileRecord {
        try descriptor.synchronize()
        descriptor.dropCache()
        try descriptor.close()
        return FileRecord(size: size, sha256: hash.finish())
    }
}

/// All of a file's bytes, for files that are small.
///
/// - Throws: `.missingInput`, `.inputOutput`.
package func wholeFile(_ path: String) throws(Failure) -> [UInt8] {
    let file = try Descriptor(opening: path, O_RDONLY)
    _ = try file.size()
    var content: [UInt8] = []
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
    defer { buffer.deallocate() }
    while true {
        let count = try file.read(into: buffer)
        if count == 0 { return content }
        content.append(contentsOf: buffer[..<count])
    }
}

/// A file's size in bytes.
///
/// - Throws: `.missingInput`, `.inputOutput`.
package func fileSize(_ path: String) throws(Failure) -> Int {
    try Descriptor(opening: path, O_RDONLY).size()
}
