/// A JSON value (RFC 8259), parsed without leniency: an object that names a key twice is refused.
enum StrictJSON {
    case null
    case bool(Bool)
    /// The number's own text, so that the reader decides what it must fit.
    case number(String)
    case string(String)
    case array([StrictJSON])
    /// The members in the order of the text.
    case object([Member])

    /// One key of an object and its value.
    struct Member {
        let key: String
        let value: StrictJSON
    }

    /// What is wrong with a text, and at which of its bytes.
    struct Problem: Error {
        let what: String
        let byte: Int
    }

    /// Parses a whole text of UTF-8.
    ///
    /// - Throws: the first problem met.
    init(parsing text: UnsafeRawBufferPointer) throws(Problem) {
        var parser = Parser(text: text)
        parser.skipSpace()
        self = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.place == text.count else { throw parser.problem("text after the end") }
    }

    /// The integer that a number is, written without sign, fraction and exponent; else nil.
    var naturalNumber: Int? {
        guard case .number(let text) = self, text.utf8.allSatisfy(isDigit) else { return nil }
        return Int(text)
    }
}

/// A recursive-descent parser; every access to the text is checked against its end.
private struct Parser {
    let text: UnsafeRawBufferPointer
    var place = 0

    /// Deeper nesting is refused before it can exhaust the stack.
    static let deepest = 64

    func problem(_ what: String) -> StrictJSON.Problem {
        StrictJSON.Problem(what: what, byte: place)
    }

    /// The byte at the current place, or nil at the end.
    var next: UInt8? { place < text.count ? text[place] : nil }

    mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            place += 1
        }
    }

    /// Steps over one byte if it is the given one.
    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    mutating func value(depth: Int) throws(StrictJSON.Problem) -> StrictJSON {
        guard depth < Self.deepest else { throw problem("nesting deeper than \(Self.deepest)") }
        switch next {
        case UInt8(ascii: "{"): return .object(try members(depth: depth))
        case UInt8(ascii: "["): return .array(try elements(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw problem("text that ends too early")
        default: return .number(try number())
        }
    }

    private mutating func word(
        _ word: StaticString, _ value: StrictJSON
    ) throws(StrictJSON.Problem) -> StrictJSON {
        let end = place + word.utf8CodeUnitCount
        let bytes = UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard end <= text.count, text[place..<end].elementsEqual(bytes) else {
            throw problem("an unknown word")
        }
        place = end
        return value
    }

    private mutating func members(depth: Int) throws(StrictJSON.Problem) -> [StrictJSON.Member] {
        var members: [StrictJSON.Member] = []
        // Compared as bytes: Swift's string equality would join different spellings of a letter.
        var keys: Set<[UInt8]> = []
        place += 1
        skipSpace()
        if take("}") { return members }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw problem("a key without quotes") }
            let key = try string()
            guard keys.insert(Array(key.utf8)).inserted else {
                throw problem("the key \"\(key)\" a second time")
            }
            skipSpace()
            guard take(":") else { throw problem("a key without a colon") }
            skipSpace()
            members.append(StrictJSON.Member(key: key, value: try value(depth: depth + 1)))
            skipSpace()
        } while take(",")
        guard take("}") else { throw problem("an object that is not closed") }
        return members
    }

    private mutating func elements(depth: Int) throws(StrictJSON.Problem) -> [StrictJSON] {
        var elements: [StrictJSON] = []
        place += 1
        skipSpace()
        if take("]") { return elements }
        repeat {
            skipSpace()
            elements.append(try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw problem("an array that is not closed") }
        return elements
    }

    private mutating func number() throws(StrictJSON.Problem) -> String {
        let start = place
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
        return String(decoding: text[start..<place], as: UTF8.self)
    }

    private mutating func digits() throws(StrictJSON.Problem) {
        guard let first = next, isDigit(first) else { throw problem("an unexpected character") }
        while let byte = next, isDigit(byte) { place += 1 }
    }

    private mutating func string() throws(StrictJSON.Problem) -> String {
        place += 1
        var bytes: [UInt8] = []
        while let byte = next {
            place += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: bytes, as: UTF8.self) else {
                    throw problem("a string that is not UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): bytes.append(contentsOf: try escape())
            case ..<0x20: throw problem("a control character in a string")
            default: bytes.append(byte)
            }
        }
        throw problem("a string that is not closed")
    }

    /// The UTF-8 of what follows a backslash.
    private mutating func escape() throws(StrictJSON.Problem) -> [UInt8] {
        guard let byte = next else { throw problem("a string that is not closed") }
        place += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if 0xD800..<0xDC00 ~= code, take("\\"), take("u") {
                let low = try hexadecimal()
                guard 0xDC00..<0xE000 ~= low else { throw problem("half a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw problem("half a surrogate pair")
            }
            return Array(String(scalar).utf8)
        default: throw problem("an unknown escape")
        }
    }

    /// Four hexadecimal digits.
    private mutating func hexadecimal() throws(StrictJSON.Problem) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw problem("an escape without four hexadecimal digits")
            }
            code = code << 4 + UInt32(digit)
            place += 1
        }
        return code
    }
}

private func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
