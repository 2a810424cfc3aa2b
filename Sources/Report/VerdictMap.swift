import Support

/// A verdict for each pair of two choices, such as a rule and a batch.
package struct VerdictMap: ChartDescription {
    /// The verdict on a pair of choices.
    package struct Cell: Sendable, Equatable {
        /// The cell of a pair that the others are compared with, which is not judged.
        package static var base: Cell {
            var cell = Cell(nil)
            cell.isBase = true
            return cell
        }

        /// The verdict, or nil if the pair was not judged.
        package var kind: Verdict.Kind?
        /// The evidence, a few characters long.
        package var evidence: String
        private var isBase = false

        /// The word for the verdict in the chart's data; nil if the pair was not judged.
        fileprivate var word: String? { isBase ? "base" : kind?.rawValue }

        package init(_ kind: Verdict.Kind?, evidence: String = "") {
            self.kind = kind
            self.evidence = evidence
        }
    }

    package let chart: Chart

    /// Creates a map of verdicts.
    ///
    /// - Parameters:
    ///   - columns: the quantity of the columns, and the name of each column.
    ///   - rows: the quantity of the rows, and the name of each row from top to bottom.
    ///   - cells: the cells by row and column.
    ///   - evidence: the quantity of the evidence.
    package init(
        title: String, sentence: String, columns: (title: String, names: [String]),
        rows: (title: String, names: [String]), cells: [[Cell]], evidence: String
    ) {
        precondition(cells.count == rows.names.count, "Each row has a name.")
        precondition(
            cells.allSatisfy { $0.count == columns.names.count }, "Each column has a name.")
        var template = ChartTemplate(PackageResources.verdicts_vg_json)
        template.setSignal("columnTitle", to: .string(columns.title))
        template.setSignal("columnNames", to: .array(columns.names.map(JSONValue.string)))
        template.setSignal("rowNames", to: .array(rows.names.map(JSONValue.string)))
        template.setData(
            "cells",
            to: cells.enumerated().flatMap { row, cells in
                cells.enumerated().map { column, cell in
                    [
                        "row": .integer(row), "column": .integer(column),
                        "verdict": cell.word.map { .string($0) } ?? .null,
                        "evidence": .string(cell.evidence),
                    ]
                }
            })
        template.setTable(
            "cells",
            [
                .init(rows.title, "row", names: rows.names),
                .init(columns.title, "column", names: columns.names),
                .init("verdict", "verdict"), .init(evidence, "evidence"),
            ])
        chart = template.chart(title: title, sentence: sentence)
    }
}
