import FoundationEssentials

/// One line of a metrics log, read back.
package struct MetricsRecord: Sendable, Equatable {
    /// The line's fields; all numbers are `.number`.
    package let fields: [String: JSONValue]

    /// The number of this name, or nil where there is none or it was not finite.
    package subscript(name: String) -> Double? {
        if case .number(let value) = fields[name] { value } else { nil }
    }

    /// The step that the line is about, or nil where it is about none.
    package var step: Int? { self["step"].flatMap(Int.init(exactly:)) }

    /// Parses one line, or returns nil where it is not a JSON object.
    init?(parsing line: some Sequence<UInt8>) {
        guard let fields = try? JSONDecoder().decode([String: JSONValue].self, from: Data(line))
        else { return nil }
        self.fields = fields
    }
}

extension JSONValue: Decodable {
    /// Reads any JSON value; all numbers become `.number`, and the keys of objects are sorted.
    package init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if value.decodeNil() {
            self = .null
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let array = try? value.decode([JSONValue].self) {
            self = .array(array)
        } else {
            let object = try value.decode([String: JSONValue].self)
            self = .object(JSONObject(object.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
        }
    }
}
