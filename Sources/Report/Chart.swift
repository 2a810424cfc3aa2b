import Support

/// A chart as the page takes it: words around a Vega 5 specification.
package struct Chart: Sendable {
    package var title: String
    /// What there is to see, in a sentence or two, below the chart.
    package var sentence: String
    /// The specification. Where it has a signal `containerWidth`, the page sets it to the pixels
    /// there are.
    package var specification: JSONObject

    package init(title: String, sentence: String, specification: JSONObject) {
        self.title = title
        self.sentence = sentence
        self.specification = specification
    }
}

/// A chart's description that knows how to become a chart.
package protocol ChartDescription: Sendable {
    var title: String { get }
    var sentence: String { get }
    /// The Vega 5 specification of the drawing.
    var specification: JSONObject { get }
}

extension ChartDescription {
    package var chart: Chart {
        Chart(title: title, sentence: sentence, specification: specification)
    }
}
