import Support

/// The lines of a trace in Chrome's format, an array of JSON objects that chrome://tracing and
/// Perfetto open.
///
/// The format is described in Google's "Trace Event Format". It has complete events ("X") and
/// metadata ("M"), with times in microseconds.
package enum ChromeTrace {
    /// The text before the first line; `separator` stands between two lines and `closing` after the
    /// last.
    package static let opening = "[\n"
    package static let separator = ",\n"
    package static let closing = "\n]\n"

    /// Returns the metadata that name a process and set its position among the others.
    package static func process(_ number: Int, name: String, labels: String) -> [JSONObject] {
        [
            ("process_name", "name", JSONValue.string(name)),
            ("process_labels", "labels", .string(labels)),
            ("process_sort_index", "sort_index", .integer(number)),
        ].map { event, key, value in
            [
                "name": .string(event), "ph": "M", "pid": .integer(number), "tid": 0,
                "args": .object([key: value]),
            ]
        }
    }

    /// Returns a complete event.
    ///
    /// - Parameters:
    ///   - start: the start in nanoseconds, on the clock of the trace.
    ///   - duration: the duration in nanoseconds.
    ///   - detail: an additional argument, such as the layer or the step.
    package static func event(
        _ name: String, category: String, process: Int, start: Int64, duration: Int64,
        detail: (key: String, value: Int)?
    ) -> JSONObject {
        var event: JSONObject = [
            "name": .string(name), "cat": .string(category), "ph": "X",
            "ts": .number(Double(start) / 1000), "dur": .number(Double(duration) / 1000),
            "pid": .integer(process), "tid": 0,
        ]
        if let detail { event["args"] = .object([detail.key: .integer(detail.value)]) }
        return event
    }
}
