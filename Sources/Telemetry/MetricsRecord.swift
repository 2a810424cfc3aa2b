import Support

/// One line of a metrics log, read back.
package struct MetricsRecord: Sendable, Equatable {
    /// The line's fields.
    package let fields: JSONObject

    /// The number of this name, or nil where there is none or it was not finite.
    package subscript(name: String) -> Double? {
        fields[name]?.number
    }

    /// The step that the line is about, or nil where it is about none.
    package var step: Int? { self["step"].flatMap(Int.init(exactly:)) }

    /// Parses one line, or returns nil where it is not a JSON object.
    init?(parsing line: some Sequence<UInt8>) {
        guard case .object(let fields)? = try? JSONValue(parsing: line) else { return nil }
        self.fields = fields
    }
}
