import Support

/// The result of reading a scalar from UTF-8.
enum UTF8Scalar {
    /// A well-formed scalar and its length in bytes.
    case scalar(UInt32, length: Int)
    /// The bytes end inside a sequence that may still become a scalar.
    case truncated
    case invalid
}

/// Reads the scalar at an offset by Unicode 15, table 3-7: no overlong forms, no surrogates.
@inline(__always)
func utf8Scalar(_ bytes: UnsafePointer<UInt8>, at offset: Int, end: Int) -> UTF8Scalar {
    let lead = bytes[offset]
    if lead < 0x80 { return .scalar(UInt32(lead), length: 1) }
    let length: Int
    var lowest: UInt8 = 0x80
    var highest: UInt8 = 0xBF
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0...0xEF:
        length = 3
        if lead == 0xE0 { lowest = 0xA0 }
        if lead == 0xED { highest = 0x9F }
    case 0xF0...0xF4:
        length = 4
        if lead == 0xF0 { lowest = 0x90 }
        if lead == 0xF4 { highest = 0x8F }
    default: return .invalid
    }
    var scalar = UInt32(lead) & (0x7F >> UInt32(length))
    for index in 1..<length {
        guard offset + index < end else { return .truncated }
        let byte = bytes[offset + index]
        guard byte >= lowest, byte <= highest else { return .invalid }
        scalar = scalar << 6 | UInt32(byte & 0x3F)
        lowest = 0x80
        highest = 0xBF
    }
    return .scalar(scalar, length: length)
}

/// Returns the number of bytes of the UTF-8 byte order mark at the start of some bytes; 0 if there is none.
func byteOrderMark(of bytes: some Sequence<UInt8>) -> Int {
    bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
}

/// The longest prefix of some bytes that is well-formed UTF-8.
struct UTF8Prefix {
    /// The number of leading bytes that are whole, well-formed scalars.
    var bytes = 0
    /// The number of scalars in these bytes.
    var scalars = 0
    /// Whether the bytes after the prefix are ill-formed, rather than just cut off.
    var isInvalid = false

    /// Scans until the first scalar that is cut off or ill-formed, and calls `visit` with each one.
    @inline(__always)
    init(of text: UnsafeRawBufferPointer, visit: (UInt32) -> Void) {
        guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        while bytes < text.count {
            guard case .scalar(let scalar, let length) = next(base, end: text.count) else { return }
            visit(scalar)
            scalars += 1
            bytes += length
        }
    }

    /// Scans until the first scalar that is cut off or ill-formed, eight ASCII bytes at a time.
    init(of text: UnsafeRawBufferPointer) {
        guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        while bytes < text.count {
            while bytes + 8 <= text.count,
                text.loadUnaligned(fromByteOffset: bytes, as: UInt64.self) & 0x8080_8080_8080_8080
                    == 0
            {
                bytes += 8
                scalars += 8
            }
            guard bytes < text.count else { return }
            guard case .scalar(_, let length) = next(base, end: text.count) else { return }
            scalars += 1
            bytes += length
        }
    }

    @inline(__always)
    private mutating func next(_ base: UnsafePointer<UInt8>, end: Int) -> UTF8Scalar {
        let scalar = utf8Scalar(base, at: bytes, end: end)
        if case .invalid = scalar { isInvalid = true }
        return scalar
    }
}

/// Returns the failure for text that is not UTF-8.
func invalidUTF8(_ source: String, offset: Int) -> Failure {
    .badData(
        source, "is not valid UTF-8 at byte \(offset)",
        remedy: "convert it to UTF-8, or tokenize it by bytes")
}

/// Returns a scalar and its code point for messages.
func shown(_ scalar: UInt32) -> String {
    let digits = String(scalar, radix: 16, uppercase: true)
    let code = "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    guard let unicode = Unicode.Scalar(scalar), unicode.properties.generalCategory != .control
    else { return code }
    return "\"\(unicode)\" (\(code))"
}

/// The bytes of text that wait for the bytes after them, in memory that grows as needed.
///
/// Sixteen readable bytes follow the last one.
struct PendingText: ~Copyable {
    private static let slack = 16

    private(set) var base = UnsafeMutablePointer<UInt8>.allocate(capacity: 1 << 12)
    private var capacity = 1 << 12
    private(set) var count = 0
    /// The offset of the first byte in the whole text.
    private(set) var offset = 0

    init() { base.initialize(repeating: 0, count: capacity) }

    deinit { base.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    mutating func append(_ chunk: UnsafeRawBufferPointer) {
        guard let source = chunk.baseAddress else { return }
        if count + chunk.count + Self.slack > capacity {
            capacity = max(2 * capacity, count + chunk.count + Self.slack)
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
            larger.initialize(repeating: 0, count: capacity)
            larger.update(from: base, count: count)
            base.deallocate()
            base = larger
        }
        UnsafeMutableRawPointer(base + count).copyMemory(from: source, byteCount: chunk.count)
        count += chunk.count
    }

    /// Discards the first bytes.
    mutating func drop(_ consumed: Int) {
        count -= consumed
        offset += consumed
        base.update(from: base + consumed, count: count)
    }

    /// Prepares for a new text.
    mutating func restart() {
        count = 0
        offset = 0
    }
}

/// Text that arrives in pieces and of which a prefix is known to be well-formed UTF-8.
struct ValidatedText: ~Copyable {
    var pending = PendingText()
    /// The number of bytes of `pending` that are known to be well-formed.
    private(set) var validBytes = 0
    private let source: String

    /// Creates an empty text.
    ///
    /// - Parameter source: the name of the text in failures.
    init(source: String) { self.source = source }

    /// Checks the bytes that have arrived since the last check.
    ///
    /// - Throws: `Failure` (bad data) with the offset of an ill-formed byte.
    mutating func validate() throws(Failure) {
        let prefix = UTF8Prefix(of: UnsafeRawBufferPointer(rebasing: pending.bytes[validBytes...]))
        validBytes += prefix.bytes
        if prefix.isInvalid { throw invalidUTF8(source, offset: pending.offset + validBytes) }
    }

    /// Checks all bytes, of which no more will arrive.
    ///
    /// - Throws: `Failure` (bad data) with the offset of an ill-formed byte.
    mutating func finish() throws(Failure) {
        try validate()
        guard validBytes == pending.count else {
            throw invalidUTF8(source, offset: pending.offset + validBytes)
        }
    }

    /// Discards the first bytes.
    mutating func drop(_ consumed: Int) {
        pending.drop(consumed)
        validBytes -= consumed
    }

    /// Prepares for a new text.
    mutating func restart() {
        pending.restart()
        validBytes = 0
    }
}
