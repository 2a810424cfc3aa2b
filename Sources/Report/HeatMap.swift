import Support

/// A value for each pair of two choices, such as the loss over learning rate and batch.
package struct HeatMap: ChartDescription {
    package enum Cell: Sendable, Equatable {
        case value(Double)
        /// The pair was tried without a finite result.
        case diverged
        /// The pair was not tried.
        case missing
    }

    package var title: String
    package var sentence: String
    /// The quantity of the columns, and the name of each column.
    package var columns: (title: String, names: [String])
    /// The quantity of the rows, and the name of each row from top to bottom.
    package var rows: (title: String, names: [String])
    /// The cells by row and column.
    package var cells: [[Cell]]
    /// The quantity of the values. Values beyond its limits have the color of the limit.
    package var quantity: ChartAxis

    package init(
        title: String, sentence: String, columns: (title: String, names: [String]),
        rows: (title: String, names: [String]), cells: [[Cell]], quantity: ChartAxis
    ) {
        precondition(cells.count == rows.names.count, "Each row has a name.")
        precondition(
            cells.allSatisfy { $0.count == columns.names.count }, "Each column has a name.")
        self.title = title
        self.sentence = sentence
        self.columns = columns
        self.rows = rows
        self.cells = cells
        self.quantity = quantity
    }

    package var specification: JSONObject {
        let values = cells.joined().compactMap { cell in
            if case .value(let value) = cell { value } else { nil }
        }
        var template = ChartTemplate(PackageResources.cells_vg_json)
        template.setSignal("columnTitle", to: .string(columns.title))
        template.setSignal("columnNames", to: .array(columns.names.map(JSONValue.string)))
        template.setSignal("rowTitle", to: .string(rows.title))
        template.setSignal("rowNames", to: .array(rows.names.map(JSONValue.string)))
        template.setSignal("values", to: FittedAxis(quantity, to: values).signal(padding: 0))
        template.setScale("value", to: quantity.scale)
        template.setData("cells", to: tuples)
        return template.specification
    }

    /// The cells that were tried; cells that diverged have no value.
    private var tuples: [JSONValue] {
        cells.enumerated().flatMap { row, cells in
            cells.enumerated().compactMap { column, cell -> JSONValue? in
                var value: Double?
                switch cell {
                case .missing: return nil
                case .diverged: break
                case .value(let finite): value = quantity.drawable(finite)
                }
                return [
                    "row": .integer(row), "column": .integer(column),
                    "value": value.map(JSONValue.number) ?? .null,
                ]
            }
        }
    }
}
