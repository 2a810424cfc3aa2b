/// The rows of comma-separated values (RFC 4180).
package struct CSVText {
    /// A row and its place in the file.
    package struct Row {
        /// The number of the line on which the row starts, from 1.
        package let line: Int
        package let fields: [String]
    }

    /// The rows with a field that is not empty.
    package let rows: [Row]

    /// Reads a file; lines end with LF, CR LF or CR.
    ///
    /// - Throws: `Failure` (bad data) if it is not UTF-8 or has a damaged quoted field; the failures
    ///   of `readBytes`.
    package init(reading path: String) throws(Failure) {
        var scanner = Scanner(path: path, bytes: Array(try readText(path).utf8))
        rows = try scanner.rows()
    }
}

private struct Scanner {
    let path: String
    let bytes: [UInt8]
    private var place = 0
    private var line = 1

    private static let quote = UInt8(ascii: "\"")
    private static let comma = UInt8(ascii: ",")
    private static let newline = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    init(path: String, bytes: [UInt8]) {
        (self.path, self.bytes) = (path, bytes)
        if bytes.starts(with: Self.byteOrderMark) { place = Self.byteOrderMark.count }
    }

    mutating func rows() throws(Failure) -> [CSVText.Row] {
        var rows: [CSVText.Row] = []
        while place < bytes.count {
            let start = line
            var fields = [try field()]
            while place < bytes.count, bytes[place] == Self.comma {
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
        return [Self.comma, Self.newline, Self.carriageReturn].contains(bytes[place])
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
                    remedy: "put a comma after the quote, or double quotes inside the field")
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
