import Support

/// A chart of a page: a Vega 5 specification and the words around it.
package struct Chart: Sendable {
    package var title: String
    /// The caption: one or two sentences on the content of the chart.
    package var sentence: String
    /// The specification. The page sets its signal `containerWidth`, if it has one, to the
    /// available width in pixels.
    package var specification: JSONObject

    package init(title: String, sentence: String, specification: JSONObject) {
        self.title = title
        self.sentence = sentence
        self.specification = specification
    }
}

/// A value that describes a chart of one kind.
package protocol ChartDescription: Sendable {
    var title: String { get }
    var sentence: String { get }
    /// The filled template of the chart.
    var specification: JSONObject { get }
}

extension ChartDescription {
    package var chart: Chart {
        Chart(title: title, sentence: sentence, specification: specification)
    }
}
