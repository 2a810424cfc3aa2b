import Support

/// A file or pipe that is read from start to end, and decompressed if it is compressed.
///
/// The format follows from the first bytes, or from a name that ends in `.gz` or `.zst`.
struct InputFile: ~Copyable {
    /// The user's name for the file.
    let name: String
    /// The number of bytes that were read from the file, before decompression.
    private(set) var position = 0

    private let file: Descriptor
    private let decompressor: (any Decompressor)?
    /// The bytes at the start of the file, and later each piece of compressed bytes.
    private let buffer: UnsafeMutableRawBufferPointer
    /// The bytes of `buffer` that are not used yet.
    private var waiting = 0..<0
    /// Whether the decompressor may have more output without further input, because it filled the last one.
    private var mayHaveMore = false

    /// Opens a file; "-" is standard input.
    ///
    /// - Throws: `Failure` (missing input, input/output); (bad data) for a Parquet file.
    init(_ path: String, name: String) throws(Failure) {
        let file = try Descriptor(text: path)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
        do throws(Failure) {
            waiting = 0..<(try file.read(into: buffer))
            let start = buffer[waiting]
            guard !name.hasSuffix(".parquet"), try !Self.isParquet(file, start: start) else {
                throw .badData(
                    name, "is a Parquet file, which lockstep does not read",
                    remedy: "write its text as JSON lines, for example with pandas: "
                        + "read_parquet(\"FILE\").to_json(\"FILE.jsonl\", orient=\"records\", "
                        + "lines=True)")
            }
            if name.hasSuffix(".gz") || start.starts(with: [0x1F, 0x8B]) {
                decompressor = GzipDecompressor()
            } else if name.hasSuffix(".zst") || start.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
                decompressor = ZstandardDecompressor()
            } else {
                decompressor = nil
            }
        } catch {
            buffer.deallocate()
            throw error
        }
        position = waiting.count
        self.file = file
        self.name = name
        self.buffer = buffer
    }

    deinit { buffer.deallocate() }

    /// Returns whether a file begins and ends as Parquet does. Text can begin with the same four letters.
    ///
    /// - Parameter start: the first bytes of the file.
    private static func isParquet(
        _ file: borrowing Descriptor, start: Slice<UnsafeMutableRawBufferPointer>
    ) throws(Failure) -> Bool {
        let magic = Array("PAR1".utf8)
        guard start.starts(with: magic), let size = try file.regularSize(), size >= 12 else {
            return false
        }
        // The length of the metadata and the magic number end the file.
        var end = [UInt8](repeating: 0, count: 8)
        let count = try end.withUnsafeMutableBufferPointer { (bytes) throws(Failure) in
            try file.read(at: size - 8, into: UnsafeMutableRawBufferPointer(bytes))
        }
        let metadata = end.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        return count == 8 && end.suffix(4).elementsEqual(magic) && metadata <= size - 12
    }

    /// Reads until `output` is full or the text ends. Returns the number of bytes.
    ///
    /// - Throws: `Failure` (input/output); (bad data) if compressed data are damaged or cut off.
    mutating func read(into output: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
        guard let decompressor else { return try readPlain(into: output) }
        var filled = 0
        while filled < output.count {
            if waiting.isEmpty, !mayHaveMore {
                waiting = 0..<(try file.read(into: buffer))
                position += waiting.count
                guard !waiting.isEmpty else {
                    try require(decompressor.isComplete, or: cutOff(decompressor.format))
                    break
                }
            }
            let rest = UnsafeMutableRawBufferPointer(rebasing: output[filled...])
            let (read, written) = try decompress(decompressor, into: rest)
            waiting = waiting.lowerBound + read..<waiting.upperBound
            filled += written
            mayHaveMore = written == rest.count
        }
        return filled
    }

    private mutating func readPlain(
        into output: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> Int {
        let held = min(waiting.count, output.count)
        output.copyBytes(from: buffer[waiting].prefix(held))
        waiting = waiting.lowerBound + held..<waiting.upperBound
        let count = try file.read(into: .init(rebasing: output[held...]))
        position += count
        return held + count
    }

    private func decompress(
        _ decompressor: any Decompressor, into output: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> (read: Int, written: Int) {
        let input = UnsafeRawBufferPointer(rebasing: buffer[waiting])
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

    /// Calls a function with each piece of the text.
    ///
    /// - Throws: the errors of `read` and of the function.
    mutating func forEachChunk(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
        defer { chunk.deallocate() }
        while true {
            let count = try read(into: chunk)
            if count == 0 { return }
            try body(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
        }
    }
}
