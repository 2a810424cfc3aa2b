import Compute
import Support

/// A piece of the text of an input.
struct TextBlock {
    /// The text, which is valid until the next block is read. It ends between two characters, unless text is
    /// encoded as bytes.
    let text: UnsafeRawBufferPointer
    /// The number of Unicode scalars, unless text is encoded as bytes.
    let scalars: Int
    /// The offsets in the text at which documents begin; empty for plain text.
    let documents: [Int]
}

/// A reader of an input's text in blocks. The blocks do not depend on the number of threads.
protocol TextReader: AnyObject {
    /// The number of bytes of the input's file that were read.
    var position: Int { get }

    /// Returns the next block, or nil at the end.
    ///
    /// - Throws: `Failure` (input/output); (bad data) that names the place at fault.
    func next() throws(Failure) -> TextBlock?
}

extension TokenizeOptions {
    /// Returns whether an input has JSON lines.
    func isJSONLines(_ input: String) -> Bool {
        if field != nil { return true }
        var name = input[...]
        for suffix in [".gz", ".zst"] where name.hasSuffix(suffix) {
            name = name.dropLast(suffix.count)
        }
        return name.hasSuffix(".jsonl") || name.hasSuffix(".ndjson")
    }

    /// Whether every text and every line of JSON begins a document.
    var beginsDocuments: Bool { separatesDocuments || allInputs.contains(where: isJSONLines) }

    /// Returns a reader of an input.
    ///
    /// - Parameters:
    ///   - isText: whether the text must be UTF-8.
    ///   - hasEndOfText: whether a token separates documents; otherwise line feeds do.
    func reader(
        of source: TextSource, isText: Bool, hasEndOfText: Bool, team: ThreadTeam
    ) throws(Failure) -> any TextReader {
        let file = try InputFile(source.path, name: source.name)
        guard isJSONLines(source.input) else {
            return PlainTextReader(
                file, blockBytes: chunkBytes, isText: isText,
                hasUniversalNewlines: hasUniversalNewlines)
        }
        return JSONLinesReader(
            file, field: field ?? Self.usualField, blockBytes: 8 * chunkBytes,
            documentEnd: hasEndOfText ? [] : Array("\n".utf8),
            hasUniversalNewlines: hasUniversalNewlines, team: team)
    }

    /// The key of the text in JSON lines unless another is given.
    static let usualField = "text"
}

/// A reader of plain text.
final class PlainTextReader: TextReader {
    private var file: InputFile
    private let buffer: UnsafeMutableRawBufferPointer
    private let isText: Bool
    private var newlines: UniversalNewlines?
    /// The beginning of a scalar at the end of the last block.
    private var carried: [UInt8] = []
    /// The number of bytes of text before the next block.
    private var offset = 0

    init(
        _ file: consuming InputFile, blockBytes: Int, isText: Bool, hasUniversalNewlines: Bool
    ) {
        self.file = file
        self.isText = isText
        newlines = hasUniversalNewlines ? UniversalNewlines() : nil
        buffer = .allocate(byteCount: max(16, blockBytes), alignment: 64)
    }

    deinit { buffer.deallocate() }

    var position: Int { file.position }

    func next() throws(Failure) -> TextBlock? {
        buffer.copyBytes(from: carried)
        let count = try file.read(into: .init(rebasing: buffer[carried.count...]))
        let held = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(carried.count + count)])
        guard !held.isEmpty else { return nil }
        var (bytes, scalars) = (held.count, 0)
        if isText {
            let prefix = UTF8Prefix(of: UnsafeRawBufferPointer(held))
            (bytes, scalars) = (prefix.bytes, prefix.scalars)
            // The remaining bytes are either invalid or the beginning of a scalar.
            guard held.count - bytes < 4, count > 0 || bytes == held.count else {
                throw invalidUTF8(file.name, offset: offset + bytes)
            }
        }
        carried = Array(held[bytes...])
        offset += bytes
        let converted =
            newlines?.convert(UnsafeMutableRawBufferPointer(rebasing: held[..<bytes])) ?? bytes
        return TextBlock(
            text: UnsafeRawBufferPointer(rebasing: held[..<converted]),
            scalars: isText ? scalars - (bytes - converted) : 0, documents: [])
    }
}
