import Support

/// A chart of a page: a Vega 5 specification and the words around it.
package struct Chart: Sendable {
    package let title: String
    /// The caption: one or two sentences on the content of the chart.
    package let sentence: String
    /// The specification. The page sets its signal `containerWidth`, if it has one, to the
    /// available width in pixels.
    package let specification: JSONObject

    package init(title: String, sentence: String, specification: JSONObject) {
        self.title = title
        self.sentence = sentence
        self.specification = specification
    }
}

/// A chart of one kind, which is created from its data.
package protocol ChartDescription: Sendable {
    var chart: Chart { get }
}

/// A Vega 5 specification from a resource, with named slots that a chart fills.
///
/// Each file in `Templates` is a complete specification with example data, so the Vega editor opens
/// it. The slots are its data sets, the values of its signals, and the types of its
/// scales. A user's text goes only into these, never into an expression.
struct ChartTemplate {
    private var specification: JSONObject

    /// Parses an embedded resource.
    ///
    /// The template's `config` contains the light theme's colors for the editor. A page has its own
    /// themes, so the configuration is removed.
    init(_ resource: [UInt8]) {
        guard let specification = try? JSONObject(parsing: resource) else {
            preconditionFailure("A chart template is a JSON object.")
        }
        self.specification = specification
        self.specification["config"] = nil
    }

    mutating func setData(_ name: String, to rows: [JSONValue]) {
        set("values", of: name, in: "data", to: .array(rows))
    }

    mutating func setSignal(_ name: String, to value: JSONValue) {
        set("value", of: name, in: "signals", to: value)
    }

    mutating func setScale(_ name: String, to type: ChartAxis.Scale) {
        set("type", of: name, in: "scales", to: .string(type.rawValue))
    }

    /// Describes the table that the page saves as comma-separated values.
    ///
    /// - Parameter data: the name of the data set whose rows are those of the table.
    mutating func setTable(_ data: String, _ columns: [TableColumn]) {
        var meta: JSONObject = [:]
        if case .object(let own)? = specification["usermeta"] { meta = own }
        meta["table"] = ["data": .string(data), "columns": .array(columns.map(\.json))]
        specification["usermeta"] = .object(meta)
    }

    /// A column of the table that the page saves.
    struct TableColumn {
        let title: String
        /// The name of the value in the rows of the data set.
        let field: String
        /// The names that the values are the indices of, or nil if the values speak for themselves.
        var names: [String]?

        init(_ title: String, _ field: String, names: [String]? = nil) {
            (self.title, self.field, self.names) = (title, field, names)
        }

        fileprivate var json: JSONValue {
            [
                "title": .string(title), "field": .string(field),
                "names": names.map { .array($0.map(JSONValue.string)) } ?? .null,
            ]
        }
    }

    /// Removes the legend of the series, which Vega cannot draw without an entry.
    mutating func removeFirstLegend() {
        guard case .array(let legends) = specification["legends"] else { return }
        specification["legends"] = .array(Array(legends.dropFirst()))
    }

    /// Returns the chart of the filled template.
    func chart(title: String, sentence: String) -> Chart {
        Chart(title: title, sentence: sentence, specification: specification)
    }

    private mutating func set(
        _ key: String, of name: String, in list: String, to value: JSONValue
    ) {
        guard case .array(var entries)? = specification[list] else {
            preconditionFailure("The template has no \(list).")
        }
        for (place, entry) in entries.enumerated() {
            guard case .object(var slot) = entry, slot["name"] == .string(name) else { continue }
            slot[key] = value
            entries[place] = .object(slot)
            specification[list] = .array(entries)
            return
        }
        preconditionFailure("The template has no \(name) in \(list).")
    }
}
