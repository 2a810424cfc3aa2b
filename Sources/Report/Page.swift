/// A report as a page, in reading order.
package struct Page: Sendable {
    package var title: String
    /// The sentence under the title, which describes the runs.
    package var subtitle: String
    package var sections: [Section]
    /// The seconds after which a browser reloads the page; nil for a page that is complete.
    package var reloadSeconds: Int?

    package init(title: String, subtitle: String = "", sections: [Section]) {
        self.title = title
        self.subtitle = subtitle
        self.sections = sections
    }

    /// A part of a page: a title, paragraphs and items below them.
    package struct Section: Sendable {
        package var title: String
        /// The paragraphs before the items.
        package var text: [String]
        package var items: [Item]

        package init(_ title: String, text: [String] = [], items: [Item] = []) {
            self.title = title
            self.text = text
            self.items = items
        }
    }

    /// A chart, a table or a box of a section.
    package enum Item: Sendable {
        case chart(Chart)
        case table(Table)
        case note(Note.Kind, String)
        case verdict(Verdict)

        /// Returns an item with the chart of a description.
        package static func chart(_ description: some ChartDescription) -> Item {
            .chart(description.chart)
        }
    }

    /// A note, which a page shows in a box.
    package enum Note {
        /// The urgency of a note, which decides its color and its first word.
        package enum Kind: String, Sendable, CaseIterable {
            case information, warning, problem

            /// The word before the text, so that the color is not the only sign.
            var word: String {
                switch self {
                case .information: "Note"
                case .warning: "Warning"
                case .problem: "Problem"
                }
            }
        }
    }
}

/// A conclusion, which the page shows in a box.
package struct Verdict: Sendable {
    /// The conclusion on a rule, which decides the color of the box.
    package enum Kind: String, Sendable, CaseIterable {
        case holds, fails, undecided
    }

    package var kind: Kind
    /// The conclusion in a few words: "The square-root rule holds from 12 to 96".
    package var headline: String
    /// The evidence for the conclusion.
    package var text: String

    package init(_ kind: Kind, _ headline: String, text: String = "") {
        self.kind = kind
        self.headline = headline
        self.text = text
    }
}
