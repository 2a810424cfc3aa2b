import Glibc

/// A search for each occurrence of a separator in bytes that arrive in chunks, also across chunks.
///
/// Occurrences do not overlap; the leftmost one counts (Knuth, Morris and Pratt 1977).
struct SeparatorScanner {
    let separator: [UInt8]
    /// The number of bytes at the end of the scanned text that may begin a separator; they equal
    /// its first bytes.
    private(set) var matched: Int

    /// The length of the longest proper prefix that also ends each prefix of the separator.
    private let fallbacks: [Int]

    /// Creates a scanner for a separator of at least one byte.
    ///
    /// - Parameter matched: the number of bytes that a scanner of the text so far has matched.
    init(_ separator: some Collection<UInt8>, matched: Int = 0) {
        precondition(!separator.isEmpty, "an empty separator is everywhere")
        let bytes = Array(separator)
        var fallbacks = [0]
        var length = 0
        for byte in bytes.dropFirst() {
            while length > 0, bytes[length] != byte { length = fallbacks[length - 1] }
            if bytes[length] == byte { length += 1 }
            fallbacks.append(length)
        }
        precondition(0..<bytes.count ~= matched, "a whole separator is no beginning")
        self.separator = bytes
        self.matched = matched
        self.fallbacks = fallbacks
    }

    /// Scans a chunk from a position. Returns the position after the next separator, or nil if the
    /// chunk ends first.
    mutating func end(in chunk: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = chunk.baseAddress else { return nil }
        var position = start
        while position < chunk.count {
            if matched == 0 {
                let rest = chunk.count - position
                guard let found = memchr(base + position, Int32(separator[0]), rest) else {
                    return nil
                }
                position = UnsafeRawPointer(found) - base
            }
            let byte = chunk[position]
            while matched > 0, separator[matched] != byte { matched = fallbacks[matched - 1] }
            if separator[matched] == byte { matched += 1 }
            position += 1
            if matched == separator.count {
                matched = 0
                return position
            }
        }
        return nil
    }

    /// Returns the number of separators that end in a chunk.
    mutating func count(in chunk: UnsafeRawBufferPointer) -> Int {
        var count = 0
        var position = 0
        while let next = end(in: chunk, from: position) {
            count += 1
            position = next
        }
        return count
    }

    /// Discards the beginning of a separator, for example before a new text.
    mutating func restart() { matched = 0 }
}
