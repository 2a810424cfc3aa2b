/// A value that can be read from JSON.
package protocol JSONReadable {
    /// Reads the value.
    ///
    /// - Throws: `JSONProblem` if the JSON has another form.
    init(json: JSONValue) throws(JSONProblem)
}

extension JSONReadable {
    /// Reads the value at a key or an index of a larger value, which problems name.
    package init(json: JSONValue, at place: @autoclosure () -> String) throws(JSONProblem) {
        do throws(JSONProblem) { try self.init(json: json) } catch { throw error.under(place()) }
    }

    /// Parses UTF-8 text and reads the value.
    package init(parsing text: some Sequence<UInt8>) throws(JSONProblem) {
        try self.init(json: JSONValue(parsing: text))
    }
}

extension JSONValue {
    /// Reads the value of a key of an object. An `Optional` is nil if the key is missing or null.
    package func read<Value: JSONReadable>(_ key: String) throws(JSONProblem) -> Value {
        try Value(json: JSONObject(json: self)[key] ?? .null, at: key)
    }

    /// Reads an element of an array. An `Optional` is nil if the element is missing or null.
    package func read<Value: JSONReadable>(_ index: Int) throws(JSONProblem) -> Value {
        guard case .array(let values) = self else { throw .mismatch("array") }
        return try Value(json: index < values.count ? values[index] : .null, at: "\(index)")
    }
}

/// Reads a JSON file.
///
/// - Throws: `.missingInput`, `.inputOutput`; `.badData` that names the problem.
package func readJSON<Value: JSONReadable>(
    _ path: String, remedy: String
) throws(Failure) -> Value {
    let text = try readBytes(path)
    do throws(JSONProblem) { return try Value(parsing: text) } catch {
        throw .file(.badData, path, error.predicate, remedy: remedy)
    }
}

/// The reason why JSON cannot be read.
package enum JSONProblem: Error, Equatable {
    /// A syntax error, as a noun phrase, and the offset of the byte at which it was found.
    case syntax(String, byte: Int)
    /// The form that a value should have, as a noun phrase, and the keys that lead to the value.
    case mismatch(String, path: String = "")

    /// The problem as the predicate of a sentence about the text.
    package var predicate: String {
        switch self {
        case .syntax(let problem, let byte): "is not valid JSON (\(problem) at byte \(byte))"
        case .mismatch(let form, let path):
            "has no \(form) at \(path.isEmpty ? "its top level" : path)"
        }
    }

    /// Returns the problem of the value of a key as a problem of the object.
    fileprivate func under(_ key: String) -> JSONProblem {
        guard case .mismatch(let form, let path) = self else { return self }
        return .mismatch(form, path: path.isEmpty ? key : "\(key).\(path)")
    }
}

// MARK: - Types

extension Int: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        guard case .integer(let value) = json else { throw .mismatch("whole number") }
        self = value
    }
}

extension UInt64: JSONReadable {
    /// Reads a number, or a string of digits, which may exceed an `Int`.
    package init(json: JSONValue) throws(JSONProblem) {
        let digits =
            if case .string(let digits) = json { digits } else { String(try Int(json: json)) }
        guard let value = UInt64(digits) else { throw .mismatch("natural number") }
        self = value
    }
}

extension Double: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        guard let value = json.number else { throw .mismatch("number") }
        // A number such as 1e400 is valid JSON, but too large for 64 bits.
        guard value.isFinite else { throw .mismatch("finite number") }
        self = value
    }
}

extension Bool: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        guard case .bool(let value) = json else { throw .mismatch("true or false") }
        self = value
    }
}

extension String: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        guard case .string(let value) = json else { throw .mismatch("string") }
        self = value
    }
}

extension JSONReadable where Self: RawRepresentable<String> {
    package init(json: JSONValue) throws(JSONProblem) {
        guard let value = try Self(rawValue: String(json: json)) else {
            throw .mismatch("known value")
        }
        self = value
    }
}

extension Optional: JSONReadable where Wrapped: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        self = json == .null ? nil : try Wrapped(json: json)
    }
}

extension Array: JSONReadable where Element: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        guard case .array(let values) = json else { throw .mismatch("array") }
        self = []
        reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            append(try Element(json: value, at: "\(index)"))
        }
    }
}

extension JSONObject: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        guard case .object(let object) = json else { throw .mismatch("object") }
        self = object
    }
}

extension Dictionary: JSONReadable where Key == String, Value: JSONReadable {
    package init(json: JSONValue) throws(JSONProblem) {
        let members = try JSONObject(json: json).members
        self.init(minimumCapacity: members.count)
        for member in members {
            self[member.key] = try Value(json: member.value, at: member.key)
        }
    }
}
