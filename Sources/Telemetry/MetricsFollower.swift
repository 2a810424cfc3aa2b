import Support

/// A reader of a metrics log that grows, of which each call reads only what is new.
package struct MetricsFollower: Sendable {
    private let path: String
    /// The file that was read last; nil before it existed.
    private var file: FileStatus?
    /// The size of the complete lines that were read.
    private var offset = 0

    /// The number of bytes that are read at a time.
    private static let chunkBytes = 1 << 20
    /// The number of new bytes up to which every line is parsed; beyond it, some steps are left out.
    private static let parsedBytes = 1 << 24

    package init(_ path: String) { self.path = path }

    /// Reads the lines that were added since the last call. An incomplete last line is left for the
    /// next one, and a line that is not JSON is ignored.
    ///
    /// If much was added, only a sample of the steps is parsed, and all evaluations, all diagnoses and
    /// the newest steps.
    ///
    /// - Parameters:
    ///   - restarted: called before the lines of a log that replaces the one before, as after a
    ///     resume.
    ///   - line: receives each record.
    /// - Throws: `.inputOutput`. A log that does not exist has no lines.
    package mutating func read(
        restarted: () -> Void, line: (MetricsRecord) -> Void
    ) throws(Failure) {
        guard FileSystem.exists(path) else { return }
        let descriptor = try Descriptor(reading: path)
        let status = try FileStatus(of: descriptor)
        if let file, !file.isSameFile(as: status) || status.size < offset {
            offset = 0
            restarted()
        }
        file = status
        let stride = max(1, (status.size - offset) / Self.parsedBytes)
        var buffer = [UInt8](repeating: 0, count: Self.chunkBytes)
        var rest: [UInt8] = []
        var number = 0
        while true {
            let place = offset + rest.count
            let count = try buffer.withUnsafeMutableBufferPointer { (bytes) throws(Failure) in
                try descriptor.read(at: place, into: UnsafeMutableRawBufferPointer(bytes))
            }
            if count == 0 { return }
            rest += buffer[..<count]
            let isNearEnd = status.size - place < 2 * Self.chunkBytes
            let end = Self.forEachLine(of: rest) { bytes in
                number += 1
                let isLeftOut = number % stride != 0 && !isNearEnd && Self.isStep(bytes)
                if !isLeftOut, let record = MetricsRecord(parsing: bytes) { line(record) }
            }
            offset += end
            rest.removeFirst(end)
        }
    }

    /// Calls `body` with each complete line; returns their size with their line breaks.
    private static func forEachLine(
        of bytes: [UInt8], _ body: (ArraySlice<UInt8>) -> Void
    ) -> Int {
        var start = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            body(bytes[start..<end])
            start = end + 1
        }
        return start
    }

    /// Returns whether a line is a step's, without parsing it.
    private static func isStep(_ line: ArraySlice<UInt8>) -> Bool {
        guard let comma = line.firstIndex(of: UInt8(ascii: ",")) else { return false }
        return line[(comma + 1)...].starts(with: "\"loss\"".utf8)
    }
}
