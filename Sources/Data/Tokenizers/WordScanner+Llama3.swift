extension WordScanner {
    /// Returns the end of the word that starts at `start` by the pattern of Llama 3 or Qwen 2, which
    /// differ in the number of digits; nil if it depends on bytes after `end`.
    func llama3WordEnd(
        _ text: UnsafePointer<UInt8>, start: Int, end: Int, isFinal: Bool
    ) -> Int? {
        if text[start] == UInt8(ascii: "'") {
            guard isFinal || start + 3 <= end else { return nil }
            if let contraction = caselessContractionEnd(text, start: start, end: end) {
                return contraction
            }
        }
        let (kind, length) = scalar(text, start)
        let afterFirst = start + length
        switch kind {
        case UnicodeClass.letter:
            return runEnd(of: kind, text, start: afterFirst, end: end, isFinal: isFinal)
        case UnicodeClass.number:
            return numberEnd(text, start: start, end: end, isFinal: isFinal)
        default: break
        }
        guard afterFirst < end else { return isFinal ? end : nil }
        let second = scalar(text, afterFirst)
        if second.kind == UnicodeClass.letter, !isLineBreak(text[start]) {
            return runEnd(
                of: second.kind, text, start: afterFirst + second.length, end: end, isFinal: isFinal
            )
        }
        if kind == UnicodeClass.other {
            return symbolsEnd(text, start: afterFirst, end: end, isFinal: isFinal)
        }
        if text[start] == UInt8(ascii: " "), second.kind == UnicodeClass.other {
            return symbolsEnd(text, start: afterFirst, end: end, isFinal: isFinal)
        }
        return spacesEnd(text, start: start, end: end, isFinal: isFinal)
    }

    /// Returns the end of the digits from a position, at most `pattern.longestNumber` of them.
    private func numberEnd(
        _ text: UnsafePointer<UInt8>, start: Int, end: Int, isFinal: Bool
    ) -> Int? {
        var position = start
        var count = 0
        while position < end {
            let next = scalar(text, position)
            guard next.kind == UnicodeClass.number, count < pattern.longestNumber else {
                return position
            }
            position += next.length
            count += 1
        }
        return isFinal || count == pattern.longestNumber ? end : nil
    }

    /// Returns the end of symbols and of the line breaks after them.
    private func symbolsEnd(
        _ text: UnsafePointer<UInt8>, start: Int, end: Int, isFinal: Bool
    ) -> Int? {
        guard
            var position = runEnd(
                of: UnicodeClass.other, text, start: start, end: end, isFinal: isFinal)
        else { return nil }
        while position < end, isLineBreak(text[position]) { position += 1 }
        return position < end || isFinal ? position : nil
    }

    /// Returns the end of white space: after its last line break if it has one; otherwise before its
    /// last character if a word follows, and after all of it at the end of the text.
    private func spacesEnd(
        _ text: UnsafePointer<UInt8>, start: Int, end: Int, isFinal: Bool
    ) -> Int? {
        var position = start
        var last = start
        var afterLineBreak: Int?
        while position < end {
            let next = scalar(text, position)
            guard next.kind == UnicodeClass.whiteSpace else {
                return afterLineBreak ?? (last > start ? last : position)
            }
            last = position
            position += next.length
            if isLineBreak(text[last]) { afterLineBreak = position }
        }
        return isFinal ? afterLineBreak ?? end : nil
    }

    @inline(__always)
    private func isLineBreak(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

    /// Returns the end of a contraction in any case, or nil if there is none. The long s (U+017F) is
    /// an s in another case.
    private func caselessContractionEnd(
        _ text: UnsafePointer<UInt8>, start: Int, end: Int
    ) -> Int? {
        guard start + 1 < end else { return nil }
        func letter(_ offset: Int) -> UInt8 { text[start + offset] | 0x20 }
        func isFollowed(by second: Unicode.Scalar) -> Bool {
            start + 2 < end && letter(2) == UInt8(ascii: second)
        }
        switch letter(1) {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return start + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"):
            return isFollowed(by: "e") ? start + 3 : nil
        case UInt8(ascii: "l"): return isFollowed(by: "l") ? start + 3 : nil
        default:
            let isLongS = start + 2 < end && text[start + 1] == 0xC5 && text[start + 2] == 0xBF
            return isLongS ? start + 3 : nil
        }
    }
}
