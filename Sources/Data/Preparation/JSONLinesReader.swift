import Compute
import Glibc
import Support

/// A reader of a file whose every line is a JSON object with a document's text. Blank lines and a byte order mark
/// at the start are ignored.
final class JSONLinesReader: TextReader {
    /// The size of the longest line, in bytes.
    private static let longestLine = 1 << 30
    /// The number of bytes that a thread parses at a time.
    private static let tileBytes = 1 << 18

    private var file: InputFile
    private let field: String
    private let documentEnd: [UInt8]
    private let hasUniversalNewlines: Bool
    private let team: ThreadTeam

    private var buffer: UnsafeMutableRawBufferPointer
    /// The number of bytes in the buffer.
    private var held = 0
    /// The number of lines that were parsed.
    private var lines = 0
    private var block: UnsafeMutableRawBufferPointer

    /// Creates a reader.
    ///
    /// - Parameters:
    ///   - field: the key of the text.
    ///   - blockBytes: the number of bytes to read at a time.
    ///   - documentEnd: the bytes to add to each document.
    init(
        _ file: consuming InputFile, field: String, blockBytes: Int, documentEnd: [UInt8],
        hasUniversalNewlines: Bool, team: ThreadTeam
    ) {
        self.file = file
        self.field = field
        self.documentEnd = documentEnd
        self.hasUniversalNewlines = hasUniversalNewlines
        self.team = team
        buffer = .allocate(byteCount: blockBytes, alignment: 64)
        block = .allocate(byteCount: 0, alignment: 64)
    }

    deinit {
        buffer.deallocate()
        block.deallocate()
    }

    var position: Int { file.position }

    func next() throws(Failure) -> TextBlock? {
        let end = try readLines()
        guard end > 0 else { return nil }
        // Only the first block begins before the first line.
        let start = lines == 0 ? byteOrderMark(of: buffer[..<end]) : 0
        let tiles = try parse(UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
        held -= end
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[end..<end + held]))

        let bytes = tiles.reduce(0) { $0 + $1.text.count }
        if bytes > block.count {
            block.deallocate()
            block = .allocate(byteCount: bytes, alignment: 64)
        }
        var (filled, scalars) = (0, 0)
        var documents: [Int] = []
        for tile in tiles {
            documents += tile.documents.map { filled + $0 }
            UnsafeMutableRawBufferPointer(rebasing: block[filled...]).copyBytes(from: tile.text)
            filled += tile.text.count
            scalars += tile.scalars
        }
        return TextBlock(
            text: UnsafeRawBufferPointer(rebasing: block[..<filled]), scalars: scalars,
            documents: documents)
    }

    /// Fills the buffer. Returns the number of bytes of its whole lines; 0 at the end.
    private func readLines() throws(Failure) -> Int {
        while true {
            let space = UnsafeMutableRawBufferPointer(rebasing: buffer[held...])
            let count = try file.read(into: space)
            held += count
            if count < space.count { return held }
            let newline = buffer[..<held].lastIndex(of: UInt8(ascii: "\n"))
            if let newline { return newline + 1 }
            guard held < Self.longestLine else {
                throw .badData(
                    file.name, "has more than \(Self.longestLine) bytes in line \(lines + 1)",
                    remedy: "give a file with one JSON object per line")
            }
            let larger = UnsafeMutableRawBufferPointer.allocate(
                byteCount: 2 * buffer.count, alignment: 64)
            larger.copyMemory(from: UnsafeRawBufferPointer(buffer))
            buffer.deallocate()
            buffer = larger
        }
    }

    // MARK: - Parsing

    /// The text of some adjacent lines.
    private struct Tile {
        var text: [UInt8] = []
        var documents: [Int] = []
        var scalars = 0
        var lines = 0
        /// The problem of the last of the lines.
        var problem: JSONProblem?
    }

    private func parse(_ bytes: UnsafeRawBufferPointer) throws(Failure) -> [Tile] {
        var ranges: [Range<Int>] = []
        var start = 0
        while start < bytes.count {
            let least = min(start + Self.tileBytes, bytes.count) - 1
            let end = Self.lineEnd(in: bytes, from: least)
            ranges.append(start..<end)
            start = end
        }
        var tiles = [Tile](repeating: Tile(), count: ranges.count)
        tiles.withUnsafeMutableBufferPointer { tiles in
            team.forEach(ranges.count) { tile, _ in
                tiles[tile] = parseLines(UnsafeRawBufferPointer(rebasing: bytes[ranges[tile]]))
            }
        }
        for tile in tiles {
            lines += tile.lines
            if let problem = tile.problem { throw badLine(problem) }
        }
        return tiles
    }

    /// Returns the end of the line that a position is in, after its line feed.
    private static func lineEnd(in bytes: UnsafeRawBufferPointer, from position: Int) -> Int {
        guard let base = bytes.baseAddress,
            let found = memchr(
                base + position, Int32(UInt8(ascii: "\n")), bytes.count - position)
        else { return bytes.count }
        return UnsafeRawPointer(found) - base + 1
    }

    private func parseLines(_ bytes: UnsafeRawBufferPointer) -> Tile {
        var tile = Tile()
        tile.text.reserveCapacity(bytes.count)
        var start = 0
        while start < bytes.count {
            let end = Self.lineEnd(in: bytes, from: start)
            let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            start = end
            tile.lines += 1
            if line.allSatisfy({ $0 <= 0x20 }) { continue }
            do throws(JSONProblem) {
                let document: String = try JSONValue(parsing: line).read(field)
                append(document, to: &tile)
            } catch {
                tile.problem = error
                return tile
            }
        }
        tile.scalars = tile.text.withUnsafeBytes { UTF8Prefix(of: $0).scalars }
        return tile
    }

    private func append(_ document: String, to tile: inout Tile) {
        let start = tile.text.count
        tile.documents.append(start)
        tile.text.append(contentsOf: document.utf8)
        if hasUniversalNewlines {
            let bytes = tile.text.withUnsafeMutableBytes { text in
                var newlines = UniversalNewlines()
                return newlines.convert(UnsafeMutableRawBufferPointer(rebasing: text[start...]))
            }
            tile.text.removeLast(tile.text.count - start - bytes)
        }
        tile.text += documentEnd
    }

    /// Returns the failure for the last line that was counted.
    private func badLine(_ problem: JSONProblem) -> Failure {
        let remedy =
            switch problem {
            case .syntax: "correct the line or remove it"
            case .mismatch:
                "give --field the key of the text, or correct the line"
            }
        return .badData("\(file.name), line \(lines)", problem.predicate, remedy: remedy)
    }
}
