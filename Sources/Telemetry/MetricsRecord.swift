import Support

/// A line of a metrics log.
package struct MetricsRecord: Sendable, Equatable {
    /// The fields of the line.
    package let fields: JSONObject

    /// The number in a field; nil if the field is missing or was not finite.
    package subscript(name: String) -> Double? {
        fields[name]?.number
    }

    /// The step that the line belongs to; nil if it belongs to none.
    package var step: Int? { self["step"].flatMap(Int.init(exactly:)) }

    package init(fields: JSONObject) { self.fields = fields }

    /// Parses one line; returns nil if it is not a JSON object.
    init?(parsing line: some Sequence<UInt8>) {
        guard case .object(let fields)? = try? JSONValue(parsing: line) else { return nil }
        self.fields = fields
    }
}
