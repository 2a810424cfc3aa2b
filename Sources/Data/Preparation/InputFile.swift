import Support

/// A regular file that is read from start to end, and decompressed if it is compressed.
///
/// The format follows from the first bytes, or from a name that ends in `.gz` or `.zst`.
struct InputFile: ~Copyable {
    /// The user's name for the file.
    let name: String
    /// The number of bytes that were read from the file, before decompression.
    private(set) var position = 0

    private let file: Descriptor
    private let decompressor: (any Decompressor)?
    private let compressed: UnsafeMutableRawBufferPointer
    /// The bytes of `compressed` that have not been decompressed.
    private var waiting = 0..<0
    /// Whether the decompressor may have more output without further input, because it filled the last one.
    private var mayHaveMore = false

    /// Opens a file.
    ///
    /// - Throws: `Failure` (missing input, input/output); (bad data) for a Parquet file.
    init(_ path: String, name: String) throws(Failure) {
        let file = try Descriptor(text: path)
        var start = [UInt8](repeating: 0, count: 4)
        let count = try start.withUnsafeMutableBufferPointer { (bytes) throws(Failure) in
            try file.read(at: 0, into: UnsafeMutableRawBufferPointer(bytes))
        }
        start.removeLast(4 - count)
        guard start != Array("PAR1".utf8), !name.hasSuffix(".parquet") else {
            throw .badData(
                name, "is a Parquet file, which lockstep does not read",
                remedy: "write its text as JSON lines, for example with pandas: "
                    + "read_parquet(\"FILE\").to_json(\"FILE.jsonl\", orient=\"records\", "
                    + "lines=True)")
        }
        if name.hasSuffix(".gz") || start.starts(with: [0x1F, 0x8B]) {
            decompressor = GzipDecompressor()
        } else if name.hasSuffix(".zst") || start == [0x28, 0xB5, 0x2F, 0xFD] {
            decompressor = ZstandardDecompressor()
        } else {
            decompressor = nil
        }
        self.file = file
        self.name = name
        compressed = .allocate(byteCount: decompressor == nil ? 0 : 1 << 18, alignment: 64)
    }

    deinit { compressed.deallocate() }

    /// Reads until the buffer is full or the text ends. Returns the number of bytes.
    ///
    /// - Throws: `Failure` (input/output); (bad data) if compressed data are damaged or cut off.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        guard let decompressor else {
            let count = try file.read(into: buffer)
            position += count
            return count
        }
        var filled = 0
        while filled < buffer.count {
            if waiting.isEmpty, !mayHaveMore {
                waiting = 0..<(try file.read(into: compressed))
                position += waiting.count
                guard !waiting.isEmpty else {
                    try require(decompressor.isComplete, or: cutOff(decompressor.format))
                    break
                }
            }
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let (read, written) = try decompress(decompressor, into: rest)
            waiting = waiting.lowerBound + read..<waiting.upperBound
            filled += written
            mayHaveMore = written == rest.count
        }
        return filled
    }

    private func decompress(
        _ decompressor: any Decompressor, into output: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> (read: Int, written: Int) {
        let input = UnsafeRawBufferPointer(rebasing: compressed[waiting])
        do throws(DecompressionProblem) {
            return try decompressor.decompress(input, into: output)
        } catch {
            throw .badData(
                name,
                "has damaged \(decompressor.format) data before byte \(position) (\(error.reason))",
                remedy: "copy it again from its origin")
        }
    }

    private func cutOff(_ format: String) -> Failure {
        .badData(
            name, "is cut off, because its \(format) data end too early",
            remedy: "copy it again from its origin")
    }
}
