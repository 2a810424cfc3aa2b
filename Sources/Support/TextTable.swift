/// Rows of text under headings, in columns that are as wide as their longest cell.
package struct TextTable: Sendable {
    private let headings: [String]
    private let leftColumns: Int
    private var rows: [[String]] = []

    /// - Parameter leftColumns: how many of the first columns are text, set from the left; the
    ///   others are numbers, set from the right.
    package init(_ headings: [String], leftColumns: Int) {
        self.headings = headings
        self.leftColumns = leftColumns
    }

    /// Adds a row with a cell for each heading.
    package mutating func add(_ cells: [String]) {
        precondition(cells.count == headings.count, "a row has a cell for each heading")
        rows.append(cells)
    }

    /// The lines, without blanks at their ends.
    package var lines: [String] {
        let all = [headings] + rows
        let widths = headings.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { cells in
            let padded = cells.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - cells[column].count)
                return column < leftColumns ? cells[column] + space : space + cells[column]
            }
            let line = padded.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}
