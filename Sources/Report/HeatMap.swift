import Glibc
import Support

/// A value for each pair of two choices, such as the loss over learning rate and batch.
package struct HeatMap: ChartDescription {
    package enum Cell: Sendable, Equatable {
        case value(Double)
        /// Tried, without a finite result.
        case diverged
        /// Not tried.
        case missing
    }

    package var title: String
    package var sentence: String
    /// What the columns stand for, and the name of each.
    package var columns: (title: String, names: [String])
    /// What the rows stand for, and the name of each, from top to bottom.
    package var rows: (title: String, names: [String])
    /// (rows, columns)
    package var cells: [[Cell]]
    /// What the values measure; with limits, values beyond them have the colour of the limit.
    package var quantity: ChartAxis
    /// Whether the least value is outlined as the best.
    package var marksLeast: Bool

    package init(
        title: String, sentence: String, columns: (title: String, names: [String]),
        rows: (title: String, names: [String]), cells: [[Cell]], quantity: ChartAxis,
        marksLeast: Bool = true
    ) {
        precondition(cells.count == rows.names.count, "a row of cells for each name")
        precondition(
            cells.allSatisfy { $0.count == columns.names.count }, "a cell for each column")
        self.title = title
        self.sentence = sentence
        self.columns = columns
        self.rows = rows
        self.cells = cells
        self.quantity = quantity
        self.marksLeast = marksLeast
    }

    package var specification: JSONObject {
        func list(_ name: String, _ names: [String]) -> JSONValue {
            ["name": .string(name), "value": .array(names.map(JSONValue.string))]
        }
        func band(_ name: String, _ count: Int, range: String) -> JSONValue {
            [
                "name": .string(name), "type": "band", "range": .string(range),
                "domain": .array((0..<count).map { .integer($0) }), "paddingInner": 0.04,
            ]
        }
        func names(_ scale: String, orient: String, title: String?) -> JSONValue {
            let text = "\(scale)Names[datum.value]"
            var axis: JSONObject = [
                "scale": .string(scale), "orient": .string(orient), "domain": false,
                "ticks": false, "labelOverlap": "greedy", "labelSeparation": 4, "zindex": 0,
                "labelLimit": signal("containerWidth * 0.3"),
                "encode": ["labels": ["update": ["text": signal(text)]]],
            ]
            if let title { axis["title"] = .string(title) }
            return .object(axis)
        }
        let (colour, legend) = colourScale(
            quantity, values: values, ramp: "heat", title: quantity.title)
        return Report.specification(
            height: max(1, rows.names.count) * 36,
            signals: [list("columnNames", columns.names), list("rowNames", rows.names)],
            data: [table("cells", tuples)],
            scales: [
                band("column", columns.names.count, range: "width"),
                band("row", rows.names.count, range: "height"), colour,
            ],
            axes: [
                names("row", orient: "left", title: nil),
                names("column", orient: "bottom", title: columns.title),
            ],
            legends: [legend], marks: marks, heading: rows.title)
    }

    private var values: [Double] {
        cells.joined().compactMap { if case .value(let value) = $0 { value } else { nil } }
    }

    /// A value as its cell shows it: plain numbers with the same decimals in all cells, four digits
    /// for the greatest.
    private func text(_ value: Double) -> String {
        let greatest = values.compactMap(quantity.drawable).map(\.magnitude).max() ?? 1
        guard quantity.style == .plain, (0.01..<1e5).contains(greatest) else {
            return quantity.style.text(value)
        }
        let whole = greatest < 1 ? 1 : Int(log10(greatest)) + 1
        return Format.fixed(value, decimals: max(0, 4 - whole))
    }

    private var tuples: [JSONValue] {
        let least = values.compactMap(quantity.drawable).min()
        var tuples: [JSONValue] = []
        for (row, cells) in cells.enumerated() {
            for (column, cell) in cells.enumerated() {
                var tuple: JSONObject = ["row": .integer(row), "column": .integer(column)]
                switch cell {
                case .missing: continue
                case .value(let value) where quantity.drawable(value) != nil:
                    tuple["value"] = .number(value)
                    tuple["text"] = .string(text(value))
                    tuple["best"] = .bool(marksLeast && value == least)
                case .diverged, .value:
                    tuple["text"] = "×"
                    tuple["best"] = false
                }
                tuples.append(.object(tuple))
            }
        }
        return tuples
    }

    private var marks: [JSONValue] {
        let place: JSONObject = [
            "x": scaled("column", "column"), "width": ["scale": "column", "band": 1],
            "y": scaled("row", "row"), "height": ["scale": "row", "band": 1],
        ]
        let text =
            "rowNames[datum.row] + ', ' + columnNames[datum.column] + '\\n' + "
            + "(isValid(datum.value) ? datum.text : 'diverged')"
        var cell = place
        cell["fill"] = signal("isValid(datum.value) ? scale('value', datum.value) : absent")
        cell["stroke"] = signal("datum.best ? ink : null")
        cell["strokeWidth"] = constant(2.5)
        cell["zindex"] = signal("datum.best ? 1 : 0")
        cell["tooltip"] = signal(text)
        let colour =
            "!isValid(datum.value) ? muted : "
            + "luminance(scale('value', datum.value)) > 0.3 ? '#10141a' : '#ffffff'"
        // A number that does not fit its cell would run into the next.
        let room = "bandwidth('column') < (isValid(datum.value) ? length(datum.text) * 7.2 + 6 : 8)"
        let number = mark(
            "text", from: "cells",
            [
                "x": ["scale": "column", "field": "column", "band": 0.5],
                "y": ["scale": "row", "field": "row", "band": 0.5],
                "align": constant("center"), "baseline": constant("middle"),
                "text": ["field": "text"], "fill": signal(colour),
                "fontWeight": signal("datum.best ? 'bold' : 'normal'"),
                "opacity": signal("\(room) ? 0 : 1"),
            ])
        return [.object(mark("rect", from: "cells", interactive: true, cell)), .object(number)]
    }
}

/// A colour scale `value` over a theme's ramp, least to greatest, and its legend.
func colourScale(
    _ axis: ChartAxis, values: [Double], ramp: String, title: String
) -> (scale: JSONValue, legend: JSONValue) {
    let domain = axis.domain(of: values, margin: 0)
    let ticks = axis.ticks(in: domain, most: 5)
    let labels = ticks.map { JSONValue.string($0.label) }
    let tickValues = JSONValue.array(ticks.map { .number($0.value) })
    let scale: JSONValue = [
        "name": "value", "type": .string(axis.scale.rawValue), "clamp": true, "zero": false,
        "domain": [.number(domain.lowerBound), .number(domain.upperBound)],
        "range": signal(ramp), "interpolate": "lab",
    ]
    // Legend labels know their value; the list of texts stands beside the list of values.
    let text =
        "[\(labels.map(\.text).joined(separator: ", "))]"
        + "[indexof(\(tickValues.text), datum.value)]"
    let legend: JSONValue = [
        "fill": "value", "type": "gradient", "orient": "bottom", "direction": "horizontal",
        "title": .string(title), "values": tickValues,
        "gradientLength": signal("min(280, containerWidth - 60)"), "gradientThickness": 10,
        "encode": ["labels": ["update": ["text": signal(text)]]],
    ]
    return (scale, legend)
}
