extension JSONValue {
    /// Parses UTF-8 text strictly by RFC 8259, but rejects an object with a repeated key.
    ///
    /// A number without fraction and exponent becomes an `.integer` if it fits, any other a
    /// `.number`.
    package init(parsing text: UnsafeRawBufferPointer) throws(JSONProblem) {
        var parser = Parser(text: text)
        self = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.place == text.count else { throw parser.problem("text after the end") }
    }

    /// Parses UTF-8 text, as `init(parsing:)` of a buffer does.
    package init(parsing bytes: some Sequence<UInt8>) throws(JSONProblem) {
        let bytes = Array(bytes)
        self = try bytes.withUnsafeBufferPointer { (text) throws(JSONProblem) in
            try JSONValue(parsing: UnsafeRawBufferPointer(text))
        }
    }
}

/// A recursive-descent parser; every access to the text is checked against its end.
private struct Parser {
    let text: UnsafeRawBufferPointer
    var place = 0

    /// The deepest nesting that is accepted, so that hostile text cannot exhaust the stack.
    static let deepest = 64

    func problem(_ phrase: String) -> JSONProblem { .syntax(phrase, byte: place) }

    /// The byte at the current place, or nil at the end.
    var next: UInt8? { place < text.count ? text[place] : nil }

    mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            place += 1
        }
    }

    /// Consumes the next byte if it is the given one, and returns whether it was.
    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    /// Consumes white space and then the next byte if it is the given one.
    mutating func takeMark(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        return take(character)
    }

    /// Parses white space and a value.
    mutating func value(depth: Int) throws(JSONProblem) -> JSONValue {
        skipSpace()
        guard depth < Self.deepest else { throw problem("nesting deeper than \(Self.deepest)") }
        switch next {
        case UInt8(ascii: "{"): return .object(try members(depth: depth))
        case UInt8(ascii: "["): return .array(try elements(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw problem("text that ends too early")
        default: return try number()
        }
    }

    private mutating func word(
        _ word: String, _ value: JSONValue
    ) throws(JSONProblem) -> JSONValue {
        guard text[place...].starts(with: word.utf8) else { throw problem("an unknown word") }
        place += word.utf8.count
        return value
    }

    private mutating func members(depth: Int) throws(JSONProblem) -> JSONObject {
        var object = JSONObject()
        // Keys are compared as bytes, because Swift's string equality treats different encodings of
        // a letter as equal.
        var keys: Set<[UInt8]> = []
        place += 1
        if takeMark("}") { return object }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw problem("a key without quotes") }
            let key = try string()
            guard keys.insert(Array(key.utf8)).inserted else {
                throw problem("the key \"\(key)\" a second time")
            }
            guard takeMark(":") else { throw problem("a key without a colon") }
            object.members.append(.init(key: key, value: try value(depth: depth + 1)))
        } while takeMark(",")
        guard take("}") else { throw problem("an object that is not closed") }
        return object
    }

    private mutating func elements(depth: Int) throws(JSONProblem) -> [JSONValue] {
        var elements: [JSONValue] = []
        place += 1
        if takeMark("]") { return elements }
        repeat { elements.append(try value(depth: depth + 1)) } while takeMark(",")
        guard take("]") else { throw problem("an array that is not closed") }
        return elements
    }

    private mutating func number() throws(JSONProblem) -> JSONValue {
        let start = place
        _ = take("-")
        if !take("0") { try digits() }
        var isWhole = true
        if take(".") {
            isWhole = false
            try digits()
        }
        if take("e") || take("E") {
            isWhole = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        let number = String(decoding: text[start..<place], as: UTF8.self)
        if isWhole, number != "-0", let integer = Int(number) { return .integer(integer) }
        guard let real = Double(number) else { throw problem("a number that cannot be read") }
        return .number(real)
    }

    private mutating func digits() throws(JSONProblem) {
        guard let first = next, isDigit(first) else { throw problem("an unexpected character") }
        while let byte = next, isDigit(byte) { place += 1 }
    }

    private mutating func string() throws(JSONProblem) -> String {
        place += 1
        var bytes: [UInt8] = []
        while true {
            let start = place
            while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"),
                byte >= 0x20
            { place += 1 }
            bytes.append(contentsOf: text[start..<place])
            if take("\"") {
                if let string = String(validating: bytes, as: UTF8.self) { return string }
                throw problem("a string that is not UTF-8")
            }
            guard next != nil else { throw problem("a string that is not closed") }
            guard take("\\") else { throw problem("a control character in a string") }
            bytes.append(contentsOf: try escape())
        }
    }

    /// Parses the rest of an escape sequence after its backslash, and returns its UTF-8.
    private mutating func escape() throws(JSONProblem) -> [UInt8] {
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
            guard let scalar = Unicode.Scalar(code) else { throw problem("half a surrogate pair") }
            return Array(String(scalar).utf8)
        default: throw problem("an unknown escape")
        }
    }

    /// Parses four hexadecimal digits.
    private mutating func hexadecimal() throws(JSONProblem) -> UInt32 {
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
