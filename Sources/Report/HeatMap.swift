import Support

/// A value for each pair of two choices, such as the loss over learning rate and batch.
package struct HeatMap: ChartDescription {
    /// The result at a pair of choices.
    package enum Cell: Sendable, Equatable {
        case value(Double)
        /// The pair was tried without a finite result.
        case diverged
        /// The pair was not tried.
        case missing

        fileprivate var value: Double? {
            if case .value(let value) = self { value } else { nil }
        }
    }

    package let chart: Chart

    /// Creates a map of cells with colors and texts.
    ///
    /// - Parameters:
    ///   - columns: the quantity of the columns, and the name of each column.
    ///   - rows: the quantity of the rows, and the name of each row from top to bottom.
    ///   - cells: the cells by row and column.
    ///   - quantity: the quantity of the values; values beyond its limits have the color of the
    ///     limit.
    package init(
        title: String, sentence: String, columns: (title: String, names: [String]),
        rows: (title: String, names: [String]), cells: [[Cell]], quantity: ChartAxis
    ) {
        precondition(cells.count == rows.names.count, "Each row has a name.")
        precondition(
            cells.allSatisfy { $0.count == columns.names.count }, "Each column has a name.")
        let values = cells.joined().compactMap(\.value)
        var template = ChartTemplate(PackageResources.cells_vg_json)
        template.setSignal("columnTitle", to: .string(columns.title))
        template.setSignal("columnNames", to: .array(columns.names.map(JSONValue.string)))
        template.setSignal("rowTitle", to: .string(rows.title))
        template.setSignal("rowNames", to: .array(rows.names.map(JSONValue.string)))
        template.setSignal("values", to: FittedAxis(quantity, to: values).signal(padding: 0))
        template.setScale("value", to: quantity.scale)
        let tuples = cells.enumerated().flatMap { row, cells in
            cells.enumerated().filter { $1 != .missing }.map { column, cell -> JSONValue in
                [
                    "row": .integer(row), "column": .integer(column),
                    "value": cell.value.flatMap(quantity.drawable).map(JSONValue.number) ?? .null,
                ]
            }
        }
        template.setData("cells", to: tuples)
        template.setTable(
            "cells",
            [
                .init(rows.title, "row", names: rows.names),
                .init(columns.title, "column", names: columns.names),
                .init(quantity.title, "value"),
            ])
        chart = template.chart(title: title, sentence: sentence)
    }
}
