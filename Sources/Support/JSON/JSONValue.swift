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
    package private(set) var members: [Member] = []

    /// A key and its value.
    package struct Member: Sendable, Equatable {
        package let key: String
        package let value: JSONValue
    }

    package init() {}

    /// Appends a member whose key is new.
    mutating func append(_ key: String, _ value: JSONValue) {
        members.append(Member(key: key, value: value))
    }

    /// The value of a key, or nil. A new key is appended; assigning nil removes the key.
    package subscript(key: String) -> JSONValue? {
        get { members.first { $0.key == key }?.value }
        set {
            let place = members.firstIndex { $0.key == key }
            switch (place, newValue) {
            case (let place?, let value?): members[place] = Member(key: key, value: value)
            case (let place?, nil): members.remove(at: place)
            case (nil, let value?): members.append(Member(key: key, value: value))
            case (nil, nil): break
            }
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

    /// The value as a whole number of at least 0; nil for other values.
    package var naturalNumber: Int? {
        if case .integer(let value) = self, value >= 0 { value } else { nil }
    }

    /// The value as a string; nil for other values.
    package var string: String? {
        if case .string(let value) = self { value } else { nil }
    }
}

// MARK: - Writing

extension JSONValue {
    /// The value as text, on one line and without spaces.
    ///
    /// Numbers have the fewest digits that read back to the same bits; JSON has no infinities and
    /// no NaN, which become `null`.
    package var text: String {
        var text = ""
        write(to: &text)
        return text
    }

    fileprivate func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value): text += value.isFinite ? value.description : "null"
        case .single(let value): text += value.isFinite ? value.description : "null"
        case .string(let value): text += jsonQuoted(value)
        case .array(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                value.write(to: &text)
            }
            text += "]"
        case .object(let object): object.write(to: &text)
        }
    }
}

extension JSONObject {
    /// The object as text, on one line and without spaces.
    package var text: String {
        var text = ""
        write(to: &text)
        return text
    }

    fileprivate func write(to text: inout String) {
        text += "{"
        for (index, member) in members.enumerated() {
            if index > 0 { text += "," }
            text += jsonQuoted(member.key)
            text += ":"
            member.value.write(to: &text)
        }
        text += "}"
    }
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
