/// A table: rows under a header.
package struct Table: Sendable {
    /// The alignment of a column: left for text, right for numbers.
    package enum Alignment: String, Sendable {
        case left, right
    }

    package struct Column: Sendable {
        package var title: String
        package var alignment: Alignment

        package init(_ title: String, _ alignment: Alignment = .right) {
            self.title = title
            self.alignment = alignment
        }
    }

    package struct Row: Sendable {
        package var cells: [String]
        package var isEmphasized: Bool

        package init(_ cells: [String], isEmphasized: Bool = false) {
            self.cells = cells
            self.isEmphasized = isEmphasized
        }
    }

    package var caption: String
    package var columns: [Column]
    package private(set) var rows: [Row]

    /// Creates a table.
    ///
    /// - Parameter rows: the rows, each with a cell for each column.
    package init(caption: String = "", columns: [Column], rows: [Row] = []) {
        self.caption = caption
        self.columns = columns
        self.rows = []
        for row in rows { add(row) }
    }

    /// Adds a row with a cell for each column.
    package mutating func add(_ row: Row) {
        precondition(row.cells.count == columns.count, "A row has a cell for each column.")
        rows.append(row)
    }

    /// The table as HTML, in a box that scrolls sideways if the table is too wide.
    ///
    /// Texts wrap at spaces. A number stays on one line with its unit, and so does its interval,
    /// which may wrap below the number.
    var html: String {
        func cells(_ texts: [String], tag: String) -> String {
            zip(texts, columns).map { text, column in
                let isHeader = tag == "th"
                let scope = isHeader ? " scope=\"col\"" : ""
                let content =
                    isHeader ? HTMLText.escaped(text) : Self.wrapping(text, column.alignment)
                return "<\(tag)\(scope) class=\"\(column.alignment.rawValue)\">\(content)</\(tag)>"
            }.joined()
        }
        let body = rows.map { row in
            "<tr\(row.isEmphasized ? " class=\"emphasised\"" : "")>\(cells(row.cells, tag: "td"))</tr>"
        }
        // A box that scrolls must be reachable by keyboard, and then needs a name.
        let name = HTMLText.escaped(caption.isEmpty ? "Table" : caption)
        return """
            <div class="scroll" tabindex="0" role="region" aria-label="\(name)"><table>
            \(caption.isEmpty ? "" : "<caption>\(HTMLText.escaped(caption))</caption>")
            <thead><tr>\(cells(columns.map(\.title), tag: "th"))</tr></thead>
            <tbody>
            \(body.joined(separator: "\n"))
            </tbody></table></div>
            """
    }

    /// Returns a cell's text as HTML, in pieces that do not wrap: numbers break before "(", texts at
    /// any space outside parentheses.
    private static func wrapping(_ text: String, _ alignment: Alignment) -> String {
        var pieces = [""]
        var depth = 0
        for (place, character) in zip(text.indices, text) {
            depth += character == "(" ? 1 : character == ")" ? -1 : 0
            let next = text.index(after: place)
            let ends =
                depth == 0 && character == " "
                && (alignment == .left || next < text.endIndex && text[next] == "(")
            if ends { pieces.append("") } else { pieces[pieces.count - 1].append(character) }
        }
        return pieces.map { piece in
            // A line can break at a space and after a hyphen, as in 1e-3.
            piece.contains { $0 == " " || $0 == "-" }
                ? "<span>\(HTMLText.escaped(piece))</span>" : HTMLText.escaped(piece)
        }.joined(separator: " ")
    }
}
