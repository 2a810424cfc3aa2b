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
