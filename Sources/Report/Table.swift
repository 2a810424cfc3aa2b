/// A table: rows under a header.
package struct Table: Sendable {
    /// The alignment of a column: left for text, right for numbers.
    package enum Alignment: String, Sendable {
        case left, right
    }

    /// A column with its header.
    package struct Column: Sendable {
        package var title: String
        package var alignment: Alignment

        package init(_ title: String, _ alignment: Alignment = .right) {
            self.title = title
            self.alignment = alignment
        }
    }

    /// A row with a cell for each column.
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
    /// which may wrap below the number. On a phone, a wide table becomes a list of its rows.
    var html: String {
        let isWide = leastWidth > Self.phoneWidth
        // A browser takes the roles away from rows and cells that are not laid out as a table.
        func role(_ name: String) -> String { isWide ? " role=\"\(name)\"" : "" }
        let header = columns.map { column in
            "<th scope=\"col\" class=\"\(column.alignment.rawValue)\"\(role("columnheader"))>"
                + "\(HTMLText.escaped(column.title))</th>"
        }
        let body = rows.map { row in
            let cells = zip(row.cells, columns).map { text, column in
                let title = isWide ? " data-title=\"\(HTMLText.escaped(column.title))\"" : ""
                return "<td class=\"\(column.alignment.rawValue)\"\(title)\(role("cell"))>"
                    + "\(Self.html(text, column.alignment))</td>"
            }
            let emphasis = row.isEmphasized ? " class=\"emphasized\"" : ""
            return "<tr\(emphasis)\(role("row"))>\(cells.joined())</tr>"
        }
        // A box that scrolls must be reachable by keyboard, and then needs a name.
        let name = HTMLText.escaped(caption.isEmpty ? "Table" : caption)
        return """
            <div class="scroll" tabindex="0" role="region" aria-label="\(name)">\
            <table\(isWide ? " class=\"wide\" role=\"table\"" : "")>
            \(caption.isEmpty ? "" : "<caption>\(HTMLText.escaped(caption))</caption>")
            <thead\(role("rowgroup"))><tr\(role("row"))>\(header.joined())</tr></thead>
            <tbody\(role("rowgroup"))>
            \(body.joined(separator: "\n"))
            </tbody></table></div>
            """
    }

    /// The width of a narrow phone without the page's margins, in pixels.
    private static let phoneWidth = 320.0

    /// The estimated width in pixels below which the table would not fit, from the average width of
    /// a character and the padding of a cell.
    private var leastWidth: Double {
        columns.indices.reduce(0) { width, index in
            let title = columns[index].title.split(separator: " ").map(\.count)
            let cells = rows.flatMap { row in
                Self.pieces(row.cells[index], columns[index].alignment).map(\.count)
            }
            return width + 14 + 7.6 * Double((title + cells).max() ?? 0)
        }
    }

    /// Returns a cell's text as HTML, whose pieces do not wrap.
    private static func html(_ text: String, _ alignment: Alignment) -> String {
        pieces(text, alignment).map { piece in
            // A line can break at a space and after a hyphen, as in 1e-3.
            piece.contains { $0 == " " || $0 == "-" }
                ? "<span>\(HTMLText.escaped(piece))</span>" : HTMLText.escaped(piece)
        }.joined(separator: " ")
    }

    /// The number of characters up to which text in parentheses, such as an interval, does not wrap.
    private static let longestPiece = 30

    /// Returns the pieces of a cell's text: numbers break before "(", texts at any space outside
    /// short parentheses.
    private static func pieces(_ text: String, _ alignment: Alignment) -> [String] {
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
        guard alignment == .left else { return pieces }
        return pieces.flatMap { piece in
            piece.count > longestPiece ? piece.split(separator: " ").map(String.init) : [piece]
        }
    }
}
