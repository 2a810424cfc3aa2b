/// A property of an input that deserves a warning before the input is encoded.
package enum TextFinding: Sendable, Equatable {
    /// The text spells the end-of-text token, which is encoded as plain text.
    case spelledEndOfText(String, count: Int)
    /// The text does not contain the separator.
    case missingSeparator(String)
    /// The text has carriage returns, before a line feed or alone, which are kept.
    case carriageReturns(beforeLineFeed: Int, alone: Int)
}

/// A scan for the cases of `TextFinding` in texts that arrive in chunks.
struct TextFindings {
    private let beginsDocuments: Bool
    private var endOfText: SeparatorScanner?
    private var endOfTextCount = 0
    private var separator: SeparatorScanner?
    private var separatorCount = 0
    private var carriageReturn = SeparatorScanner("\r".utf8)
    private var carriageReturnCount = 0
    private var lineEnd = SeparatorScanner("\r\n".utf8)
    private var lineEndCount = 0

    /// Creates a scan.
    ///
    /// - Parameter endOfText: the text of the tokenizer's end-of-text token, or nil.
    init(_ options: TokenizeOptions, endOfText: String?) {
        beginsDocuments = options.beginsDocuments
        separator = options.separator.map { SeparatorScanner($0.utf8) }
        if let endOfText, endOfText != options.separator {
            self.endOfText = SeparatorScanner(endOfText.utf8)
        }
    }

    /// Begins the next text. A separator can span two texts only if they are joined.
    mutating func beginText() {
        guard beginsDocuments else { return }
        endOfText?.restart()
        separator?.restart()
    }

    /// Looks at the next block of a text. Each document in the block begins a text, too.
    mutating func look(at block: TextBlock) {
        var start = 0
        for document in block.documents {
            look(at: UnsafeRawBufferPointer(rebasing: block.text[start..<document]))
            beginText()
            start = document
        }
        look(at: UnsafeRawBufferPointer(rebasing: block.text[start...]))
    }

    private mutating func look(at bytes: UnsafeRawBufferPointer) {
        endOfTextCount += endOfText?.count(in: bytes) ?? 0
        separatorCount += separator?.count(in: bytes) ?? 0
        carriageReturnCount += carriageReturn.count(in: bytes)
        lineEndCount += lineEnd.count(in: bytes)
    }

    /// The counts so far, from which a later scan continues.
    var counts: [Int] {
        get { [endOfTextCount, separatorCount, carriageReturnCount, lineEndCount] }
        set {
            guard newValue.count == 4 else { return }
            (endOfTextCount, separatorCount) = (newValue[0], newValue[1])
            (carriageReturnCount, lineEndCount) = (newValue[2], newValue[3])
        }
    }

    /// Returns the findings, after all texts were scanned.
    func all() -> [TextFinding] {
        var findings: [TextFinding] = []
        if let endOfText, endOfTextCount > 0 {
            findings.append(
                .spelledEndOfText(
                    String(decoding: endOfText.separator, as: UTF8.self), count: endOfTextCount))
        }
        if let separator, separatorCount == 0 {
            findings.append(
                .missingSeparator(String(decoding: separator.separator, as: UTF8.self)))
        }
        if carriageReturnCount > 0 {
            findings.append(
                .carriageReturns(
                    beforeLineFeed: lineEndCount, alone: carriageReturnCount - lineEndCount))
        }
        return findings
    }
}
