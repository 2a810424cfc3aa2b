/// A table of text whose columns are as wide as their longest cells.
package struct TextTable: Sendable {
    private let headings: [String]
    private let leftColumns: Int
    private var rows: [[String]] = []

    /// Creates a table with headings and no rows.
    ///
    /// - Parameter leftColumns: the number of leading columns that are aligned left, because they
    ///   hold text; the others are aligned right.
    package init(_ headings: [String], leftColumns: Int) {
        self.headings = headings
        self.leftColumns = leftColumns
    }

    /// Adds a row with a cell for each heading.
    package mutating func add(_ cells: [String]) {
        precondition(cells.count == headings.count, "a row has a cell for each heading")
        rows.append(cells)
    }

    /// The lines of the table, without trailing spaces.
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
