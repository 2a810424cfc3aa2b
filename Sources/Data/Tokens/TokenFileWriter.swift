import Support

/// A writer of an llm.c token file whose ids arrive in pieces. All its functions throw `Failure`
/// (input/output) if the file cannot be written.
package struct TokenFileWriter: ~Copyable {
    package let format: TokenFileFormat
    /// The number of tokens so far.
    package private(set) var count = 0

    private var file: OutputFile
    private var narrow: [UInt16] = []

    /// Starts a new file for ids below `vocabularySize`.
    package init(_ path: String, vocabularySize: Int) throws(Failure) {
        let format = TokenFileFormat(vocabularySize: vocabularySize)
        var file = try OutputFile(creating: path)
        try Self.writeHeader(of: &file, format: format, count: nil)
        self.format = format
        self.file = file
    }

    /// Continues a file after its first `count` tokens, and discards what follows them.
    ///
    /// - Throws: `Failure` (input/output) if the file has fewer.
    init(continuing path: String, vocabularySize: Int, count: Int) throws(Failure) {
        format = TokenFileFormat(vocabularySize: vocabularySize)
        file = try OutputFile(
            continuing: path, after: format.headerBytes + count * format.bytesPerToken)
        self.count = count
    }

    /// Brings the ids so far to the disk.
    mutating func synchronize() throws(Failure) { try file.synchronize() }

    /// Appends ids.
    package mutating func append(_ ids: ArraySlice<UInt32>) throws(Failure) {
        guard !ids.isEmpty else { return }
        precondition(count + ids.count <= TokenFileFormat.largestCount, "too many for one file")
        if format == .uint16 {
            narrow.removeAll(keepingCapacity: true)
            narrow.append(contentsOf: ids.lazy.map(UInt16.init(truncatingIfNeeded:)))
            try narrow.withUnsafeBufferPointer { (ids) throws(Failure) in
                try file.write(UnsafeRawBufferPointer(ids))
            }
        } else {
            try ids.withUnsafeBufferPointer { (ids) throws(Failure) in
                try file.write(UnsafeRawBufferPointer(ids))
            }
        }
        count += ids.count
    }

    /// Completes the header and flushes the file to disk.
    package consuming func finish() throws(Failure) {
        try Self.writeHeader(of: &file, format: format, count: count)
        try file.finish()
    }

    /// Writes the header: without a count at first, and again over it with the count.
    private static func writeHeader(
        of file: inout OutputFile, format: TokenFileFormat, count: Int?
    ) throws(Failure) {
        var header = [Int32](repeating: 0, count: TokenFileFormat.headerWords)
        header[0] = format.magic
        header[1] = format.version
        header[2] = Int32(count ?? 0)
        try header.withUnsafeBufferPointer { (header) throws(Failure) in
            let bytes = UnsafeRawBufferPointer(header)
            if count == nil { try file.write(bytes) } else { try file.overwriteStart(bytes) }
        }
    }
}
