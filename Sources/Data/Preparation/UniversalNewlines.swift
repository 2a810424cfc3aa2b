import Glibc

/// A converter of the line endings CR LF and CR to LF, as Python reads text.
struct UniversalNewlines {
    private var isAfterCarriageReturn = false

    /// Converts the next bytes of a text in place. Returns the number of bytes that remain.
    mutating func convert(_ text: UnsafeMutableRawBufferPointer) -> Int {
        let (carriageReturn, lineFeed) = (UInt8(ascii: "\r"), UInt8(ascii: "\n"))
        guard let base = text.baseAddress, !text.isEmpty else { return 0 }
        guard isAfterCarriageReturn || memchr(base, Int32(carriageReturn), text.count) != nil else {
            return text.count
        }
        var written = 0
        for byte in text {
            if byte != lineFeed || !isAfterCarriageReturn {
                text[written] = byte == carriageReturn ? lineFeed : byte
                written += 1
            }
            isAfterCarriageReturn = byte == carriageReturn
        }
        return written
    }
}
