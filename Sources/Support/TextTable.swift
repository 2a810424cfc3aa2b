/// A table of text whose columns are as wide as their longest cells.
package struct TextTable: Sendable {
    private let headings: [String]
    private let leftColumns: Int
    private let leastWidths: [Int]
    private var rows: [[String]] = []

    /// Creates a table with headings and no rows.
    ///
    /// - Parameters:
    ///   - leftColumns: the number of leading columns that are aligned left, because they hold text;
    ///     the others are aligned right.
    ///   - leastWidths: the least widths of the leading columns, for rows that are printed before
    ///     all are known.
    package init(_ headings: [String], leftColumns: Int, leastWidths: [Int] = []) {
        self.headings = headings
        self.leftColumns = leftColumns
        self.leastWidths = leastWidths
    }

    /// Adds a row with a cell for each heading.
    package mutating func add(_ cells: [String]) {
        precondition(cells.count == headings.count, "a row has a cell for each heading")
        rows.append(cells)
    }

    /// The lines of the table, without trailing spaces.
    package var lines: [String] {
        let all = [headings] + rows
        return all.map { Self.line($0, leftColumns, widths: widths(all)) }
    }

    /// The headings as a line for a table whose rows are printed one at a time.
    package var headingLine: String { line(headings) }

    /// Returns a row as a line for a table whose rows are printed one at a time. Its columns are as
    /// wide as their headings and their least widths, whatever the other rows are.
    package func line(_ cells: [String]) -> String {
        Self.line(cells, leftColumns, widths: widths([headings, cells]))
    }

    /// Returns the widths of the columns with some rows.
    private func widths(_ rows: [[String]]) -> [Int] {
        headings.indices.map { column in
            let least = column < leastWidths.count ? leastWidths[column] : 0
            return max(least, rows.map { $0[column].count }.max() ?? 0)
        }
    }

    private static func line(_ cells: [String], _ leftColumns: Int, widths: [Int]) -> String {
        let padded = cells.indices.map { column in
            let space = String(repeating: " ", count: widths[column] - cells[column].count)
            return column < leftColumns ? cells[column] + space : space + cells[column]
        }
        let line = padded.joined(separator: "  ")
        return String(line.reversed().drop { $0 == " " }.reversed())
    }
}
