import Glibc

/// A property of a text that deserves a warning before the text is encoded.
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
    private let separatesDocuments: Bool
    private var endOfText: SeparatorScanner?
    private var endOfTextCount = 0
    private var separator: SeparatorScanner?
    private var separatorCount = 0
    private var carriageReturns = CarriageReturns()

    /// Creates a scan.
    ///
    /// - Parameter endOfText: the text of the tokenizer's end-of-text token, or nil.
    init(_ options: TokenizeOptions, endOfText: String?) {
        separatesDocuments = options.separatesDocuments
        separator = options.separator.map { SeparatorScanner($0.utf8) }
        if let endOfText, endOfText != options.separator {
            self.endOfText = SeparatorScanner(endOfText.utf8)
        }
    }

    /// Begins the next text. A separator can span two texts only if they are joined.
    mutating func beginText() {
        guard separatesDocuments else { return }
        endOfText?.restart()
        separator?.restart()
    }

    mutating func look(at bytes: UnsafeRawBufferPointer) {
        endOfTextCount += endOfText?.count(in: bytes) ?? 0
        separatorCount += separator?.count(in: bytes) ?? 0
        carriageReturns.look(at: bytes)
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
        let alone = carriageReturns.alone + (carriageReturns.endsText ? 1 : 0)
        if carriageReturns.beforeLineFeed + alone > 0 {
            findings.append(
                .carriageReturns(beforeLineFeed: carriageReturns.beforeLineFeed, alone: alone))
        }
        return findings
    }
}

/// The numbers of carriage returns in bytes that arrive in chunks.
private struct CarriageReturns {
    private(set) var beforeLineFeed = 0
    private(set) var alone = 0
    /// Whether the last byte was a carriage return, which is not counted yet.
    private(set) var endsText = false

    mutating func look(at bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, let first = bytes.first else { return }
        if endsText { count(followedBy: first) }
        endsText = false
        var position = 0
        while let found = memchr(base + position, 13, bytes.count - position) {
            position = UnsafeRawPointer(found) - base + 1
            guard position < bytes.count else {
                endsText = true
                return
            }
            count(followedBy: bytes[position])
        }
    }

    private mutating func count(followedBy next: UInt8) {
        if next == UInt8(ascii: "\n") { beforeLineFeed += 1 } else { alone += 1 }
    }
}
