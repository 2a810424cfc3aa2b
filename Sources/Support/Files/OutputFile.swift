import Glibc

/// A file that is written from start to end. All its functions throw `.inputOutput`.
package struct OutputFile: ~Copyable {
    private static let bufferBytes = 1 << 16

    private let descriptor: Descriptor
    private var buffer: [UInt8] = []

    /// Creates a file, or empties an existing one.
    ///
    /// - Parameter name: the path in messages; nil for the file's own.
    package init(creating path: String, named name: String? = nil) throws(Failure) {
        descriptor = try Descriptor(opening: path, O_WRONLY | O_CREAT | O_TRUNC, named: name)
    }

    /// Continues a file after its first bytes, and discards what follows them.
    ///
    /// - Throws: `.inputOutput`, also if the file is shorter.
    package init(continuing path: String, after size: Int) throws(Failure) {
        let descriptor = try Descriptor(opening: path, O_WRONLY | O_NOFOLLOW)
        guard try descriptor.size() >= size else {
            throw .file(
                .inputOutput, path, "is shorter than the \(size) bytes that were written",
                remedy: "check the disk or the network file system")
        }
        guard descriptor.truncate(to: size), lseek(descriptor.number, size, SEEK_SET) == size
        else { throw .systemCall("written", path) }
        self.descriptor = descriptor
    }

    /// Appends bytes.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        if buffer.count + bytes.count > Self.bufferBytes { try flush() }
        guard bytes.count <= Self.bufferBytes else { return try descriptor.write(bytes) }
        buffer.append(contentsOf: bytes)
    }

    /// Appends bytes.
    package mutating func write(_ bytes: [UInt8]) throws(Failure) {
        try bytes.withUnsafeBufferPointer { (bytes) throws(Failure) in
            try write(UnsafeRawBufferPointer(bytes))
        }
    }

    /// Appends a string's UTF-8.
    package mutating func write(_ string: String) throws(Failure) {
        try write(Array(string.utf8))
    }

    /// Replaces bytes at the file's start, which must have been written before.
    package mutating func overwriteStart(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        try flush()
        try descriptor.overwrite(at: 0, bytes)
    }

    /// Brings the bytes written so far to the disk.
    package mutating func synchronize() throws(Failure) {
        try flush()
        try descriptor.synchronize()
    }

    /// Brings the file to the disk and closes it.
    ///
    /// - Throws: `.inputOutput`; the file must then not be used.
    package consuming func finish() throws(Failure) {
        try flush()
        try descriptor.synchronize()
        descriptor.dropCache()
        try descriptor.close()
    }

    private mutating func flush() throws(Failure) {
        try buffer.withUnsafeBufferPointer { (bytes) throws(Failure) in
            try descriptor.write(UnsafeRawBufferPointer(bytes))
        }
        buffer.removeAll(keepingCapacity: true)
    }
}
