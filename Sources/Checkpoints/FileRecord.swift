import Support

/// The size and the SHA-256 of a file, which reveal damage to it.
package struct FileRecord: Sendable, Equatable {
    /// The size in bytes.
    package let size: Int
    /// The digest, as 64 hexadecimal digits.
    package let sha256: String
}

extension FileRecord: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        size = try json.read("size")
        sha256 = try json.read("sha256")
    }

    var json: JSONValue { ["size": .integer(size), "sha256": .string(sha256)] }
}

extension FileRecord {
    /// Reads a whole file and hashes it.
    ///
    /// The file is read rather than mapped, so that a failing disk causes an error and not a
    /// signal.
    ///
    /// - Parameter pace: the pace of the work in the background; nil for full speed.
    /// - Throws: `.missingInput`, `.inputOutput`.
    package init(reading path: String, pace: BackgroundPace? = nil) throws(Failure) {
        let file = try Descriptor(reading: path)
        let size = try file.size()
        var hash = SHA256()
        try file.forEachChunk {
            hash.update($0)
            pace?.rest()
        }
        self.init(size: size, sha256: hash.finish())
    }
}

/// A file that is hashed while it is written. All its functions throw `.inputOutput`.
package struct HashedFile: ~Copyable {
    private var file: OutputFile
    private var hash = SHA256()
    /// The number of bytes written so far.
    private(set) var size = 0
    private let pace: BackgroundPace?

    /// The most bytes that are written before the work rests.
    private static let pieceBytes = 1 << 20

    /// Creates a file, or empties an existing one.
    ///
    /// - Parameter pace: the pace of the work in the background; nil for full speed.
    package init(creating path: String, pace: BackgroundPace? = nil) throws(Failure) {
        file = try OutputFile(creating: path)
        self.pace = pace
    }

    /// Appends bytes.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.pieceBytes))
            try file.write(piece)
            hash.update(piece)
            size += piece.count
            rest = rest.dropFirst(piece.count)
            pace?.rest()
        }
    }

    /// Appends bytes.
    package mutating func write(_ bytes: [UInt8]) throws(Failure) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
            try write(UnsafeRawBufferPointer(bytes))
        }
    }

    /// Writes the file through to the disk and closes it; returns its size and digest.
    ///
    /// - Throws: `.inputOutput`; the file must then not be used.
    package consuming func finish() throws(Failure) -> FileRecord {
        try file.finish()
        return FileRecord(size: size, sha256: hash.finish())
    }
}
