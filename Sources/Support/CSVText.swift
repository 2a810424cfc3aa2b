/// The rows of delimiter-separated values, quoted as in RFC 4180.
///
/// RFC 4180 knows only commas. Spreadsheets write semicolons where the comma is the decimal mark,
/// and tabs are common as well.
package struct CSVText {
    /// The character between the fields of a row.
    package enum Delimiter: Character, CaseIterable, Sendable {
        case comma = ","
        case semicolon = ";"
        case tab = "\t"

        fileprivate var byte: UInt8 { rawValue.asciiValue ?? 0 }
    }

    /// A row and its place in the file.
    package struct Row {
        /// The number of the line on which the row starts, from 1.
        package let line: Int
        package let fields: [String]
    }

    /// The rows with a field that is not empty.
    package let rows: [Row]
    package let delimiter: Delimiter

    /// Reads a file; lines end with LF, CR LF or CR.
    ///
    /// - Parameter score: returns how well the fields of a first row suit the caller. The delimiter
    ///   with the greatest score counts, and the comma if there are several.
    /// - Throws: `Failure` (bad data) if it is not UTF-8 or has a damaged quoted field; the failures
    ///   of `readBytes`.
    package init(reading path: String, score: ([String]) -> Int) throws(Failure) {
        let bytes = try readBytes(path)
        try Self.checkEncoding(bytes, path: path)
        var best: (delimiter: Delimiter, score: Int) = (.comma, 0)
        for delimiter in Delimiter.allCases {
            var scanner = Scanner(path: path, bytes: bytes, delimiter: delimiter)
            // With a wrong delimiter, quoted fields look damaged.
            guard let first = try? scanner.rows(upTo: 1).first else { continue }
            let score = score(first.fields)
            if score > best.score { best = (delimiter, score) }
        }
        delimiter = best.delimiter
        var scanner = Scanner(path: path, bytes: bytes, delimiter: delimiter)
        rows = try scanner.rows()
    }

    /// Spreadsheets also save UTF-16, whose bytes are valid UTF-8 if the mark at its start is
    /// missing and all characters are ASCII.
    private static func checkEncoding(_ bytes: [UInt8], path: String) throws(Failure) {
        let marks: [[UInt8]] = [[0xFF, 0xFE], [0xFE, 0xFF]]
        guard !marks.contains(where: bytes.starts), !bytes.prefix(4).contains(0) else {
            throw .file(.badData, path, "is UTF-16 text", remedy: "save it as UTF-8")
        }
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw .file(.badData, path, "is not valid UTF-8", remedy: "save it as text in UTF-8")
        }
    }
}

private struct Scanner {
    let path: String
    let bytes: [UInt8]
    private let delimiter: UInt8
    private var place = 0
    private var line = 1

    private static let quote = UInt8(ascii: "\"")
    private static let newline = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    init(path: String, bytes: [UInt8], delimiter: CSVText.Delimiter) {
        (self.path, self.bytes, self.delimiter) = (path, bytes, delimiter.byte)
        if bytes.starts(with: Self.byteOrderMark) { place = Self.byteOrderMark.count }
    }

    /// Returns the first rows with a field that is not empty.
    mutating func rows(upTo count: Int = .max) throws(Failure) -> [CSVText.Row] {
        var rows: [CSVText.Row] = []
        while place < bytes.count, rows.count < count {
            let start = line
            var fields = [try field()]
            while place < bytes.count, bytes[place] == delimiter {
                place += 1
                fields.append(try field())
            }
            endLine()
            if fields.contains(where: { !$0.isEmpty }) {
                rows.append(CSVText.Row(line: start, fields: fields))
            }
        }
        return rows
    }

    private var isAtEnd: Bool {
        guard place < bytes.count else { return true }
        return [delimiter, Self.newline, Self.carriageReturn].contains(bytes[place])
    }

    /// Consumes a field, and returns it without surrounding space.
    private mutating func field() throws(Failure) -> String {
        guard place < bytes.count, bytes[place] == Self.quote else {
            let start = place
            while !isAtEnd { place += 1 }
            return trimmed(bytes[start..<place])
        }
        let start = line
        var content: [UInt8] = []
        place += 1
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            guard byte == Self.quote else {
                if byte == Self.newline { line += 1 }
                content.append(byte)
                continue
            }
            // Two quotes are a quote of the content.
            if place < bytes.count, bytes[place] == Self.quote {
                content.append(byte)
                place += 1
                continue
            }
            guard isAtEnd else {
                throw .file(
                    .badData, path, "line \(line): a quoted field does not end with its quote",
                    remedy: "put a delimiter after the quote, or double quotes inside the field")
            }
            return trimmed(content[...])
        }
        throw .file(
            .badData, path, "line \(start): a quoted field is not closed", remedy: "close it")
    }

    private mutating func endLine() {
        guard place < bytes.count else { return }
        let isReturn = bytes[place] == Self.carriageReturn
        place += 1
        line += 1
        if isReturn, place < bytes.count, bytes[place] == Self.newline { place += 1 }
    }

    private func trimmed(_ bytes: ArraySlice<UInt8>) -> String {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let start = bytes.drop(while: isSpace)
        let end = start.lastIndex { !isSpace($0) } ?? start.startIndex - 1
        return String(decoding: start[start.startIndex..<(end + 1)], as: UTF8.self)
    }
}
