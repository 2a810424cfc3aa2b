/// A JSON value (RFC 8259).
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    /// An fp32 number, written with the fewest digits that read back to the same fp32 bits.
    case single(Float)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// A JSON object whose members stay in the order in which they were added.
package struct JSONObject: Sendable, Equatable {
    package internal(set) var members: [Member] = []

    /// A key and its value.
    package struct Member: Sendable, Equatable {
        package let key: String
        package let value: JSONValue
    }

    package init() {}

    /// The value of a key, or nil. A new key is appended; assigning nil removes the key.
    package subscript(key: String) -> JSONValue? {
        get { members.first { $0.key == key }?.value }
        set {
            let place = members.firstIndex { $0.key == key }
            if let place { members.remove(at: place) }
            guard let newValue else { return }
            members.insert(Member(key: key, value: newValue), at: place ?? members.count)
        }
    }
}

// MARK: - Reading

extension JSONValue {
    /// The value as a number, whichever case holds it; nil for other values.
    package var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .single(let value): Double(value)
        default: nil
        }
    }
}

// MARK: - Writing

extension JSONValue {
    /// The value as text, on one line and without spaces.
    ///
    /// Numbers have the fewest digits that read back to the same bits; JSON has no infinities and
    /// no NaN, which become `null`.
    package var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let value): value.isFinite ? value.description : "null"
        case .single(let value): value.isFinite ? value.description : "null"
        case .string(let value): jsonQuoted(value)
        case .array(let values): "[\(values.map(\.text).joined(separator: ","))]"
        case .object(let object): object.text
        }
    }

    fileprivate func prettyText(indent: String) -> String {
        let inner = indent + "  "
        switch self {
        case .array(let values):
            let lines = values.map { inner + $0.prettyText(indent: inner) }
            return "[\n\(lines.joined(separator: ",\n"))\n\(indent)]"
        case .object(let object):
            let lines = object.members.sorted { $0.key < $1.key }.map {
                "\(inner)\(jsonQuoted($0.key)) : \($0.value.prettyText(indent: inner))"
            }
            return "{\n\(lines.joined(separator: ",\n"))\n\(indent)}"
        default: return text
        }
    }
}

extension JSONObject {
    /// The object as text, on one line and without spaces.
    package var text: String {
        let entries = members.map { "\(jsonQuoted($0.key)):\($0.value.text)" }
        return "{\(entries.joined(separator: ","))}"
    }

    /// The object as text on indented lines and with sorted keys, for files that people read.
    ///
    /// The layout is that of Foundation's encoder.
    package var prettyText: String { JSONValue.object(self).prettyText(indent: "") }
}

/// Returns a string as a JSON literal, with only the escapes that RFC 8259 requires.
package func jsonQuoted(_ string: String) -> String {
    var quoted = "\""
    for scalar in string.unicodeScalars {
        switch scalar {
        case "\"": quoted += "\\\""
        case "\\": quoted += "\\\\"
        case "\n": quoted += "\\n"
        case "\r": quoted += "\\r"
        case "\t": quoted += "\\t"
        case "\u{08}": quoted += "\\b"
        case "\u{0C}": quoted += "\\f"
        case ..<" ":
            let digits = String(scalar.value, radix: 16)
            quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: quoted.unicodeScalars.append(scalar)
        }
    }
    return quoted + "\""
}

// MARK: - Literals

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    package init(nilLiteral: ()) { self = .null }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(integerLiteral value: Int) { self = .integer(value) }
    package init(floatLiteral value: Double) { self = .number(value) }
    package init(stringLiteral value: String) { self = .string(value) }
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements))
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSONValue)...) { self.init(elements) }

    /// Creates an object with these members in this order. The last of equal keys is kept.
    package init(_ elements: [(String, JSONValue)]) {
        for (key, value) in elements { self[key] = value }
    }
}
