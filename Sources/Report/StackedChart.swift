import Support

/// Amounts that add up: the parts of a step's time, over the steps or of several runs.
package struct StackedChart: ChartDescription {
    /// What is stacked.
    package enum Amounts: Sendable {
        /// A horizontal bar for each name, with an amount for each part.
        case bars([(name: String, amounts: [Double])])
        /// Areas over x, with an amount for each part at each x, by rising x.
        case areas(x: ChartAxis, [(x: Double, amounts: [Double])])
    }

    package var title: String
    package var sentence: String
    /// The names of the parts, from the first to the last of a stack.
    package var parts: [String]
    /// What the amounts measure.
    package var quantity: ChartAxis
    package var amounts: Amounts

    package init(
        title: String, sentence: String, parts: [String], quantity: ChartAxis, amounts: Amounts
    ) {
        self.title = title
        self.sentence = sentence
        self.parts = parts
        self.quantity = quantity
        self.quantity.fromZero = true
        self.amounts = amounts
    }

    package var specification: JSONObject {
        switch amounts {
        case .bars(let bars): barSpecification(bars)
        case .areas(let x, let rows): areaSpecification(x, rows)
        }
    }

    /// The signal of the parts' names, and the scale of their colours.
    private var names: JSONValue {
        ["name": "names", "value": .array(parts.map(JSONValue.string))]
    }

    private var colourScale: JSONValue {
        [
            "name": "colour", "type": "ordinal",
            "domain": .array(parts.indices.map { .integer($0) }),
            "range": seriesRange(Array(parts.indices)),
        ]
    }

    private var legends: [JSONValue] {
        // Vega takes the bounds of a legend without entries for endless.
        guard !parts.isEmpty else { return [] }
        let legend: JSONValue = [
            "fill": "colour", "symbolType": "square", "orient": "bottom",
            "direction": "horizontal", "columns": legendColumns(parts),
            "labelLimit": signal("containerWidth - 60"),
            "encode": [
                "labels": legendLabels, "symbols": ["update": ["fillOpacity": constant(0.75)]],
            ],
        ]
        return [legend]
    }

    /// What is stacked of an amount; negative and missing amounts are nothing.
    private func stackable(_ amounts: [Double], _ part: Int) -> Double {
        part < amounts.count ? max(0, quantity.drawable(amounts[part]) ?? 0) : 0
    }

    private func domain(_ rows: [[Double]]) -> ClosedRange<Double> {
        let totals = rows.map { row in parts.indices.reduce(0) { $0 + stackable(row, $1) } }
        return quantity.domain(of: totals, margin: 0.02)
    }

    // MARK: - Bars

    private func barSpecification(_ bars: [(name: String, amounts: [Double])]) -> JSONObject {
        let domain = domain(bars.map(\.amounts))
        var rows: [JSONValue] = []
        for (bar, (_, amounts)) in bars.enumerated() {
            var total = 0.0
            for part in parts.indices {
                let amount = stackable(amounts, part)
                rows.append([
                    "bar": .integer(bar), "s": .integer(part), "amount": .number(amount),
                    "from": .number(total), "to": .number(total + amount),
                ])
                total += amount
            }
        }
        let text =
            "barNames[datum.bar] + '\\n' + names[datum.s] + ': ' + "
            + quantity.style.expression("datum.amount")
        let rectangle = mark(
            "rect", from: "parts", interactive: true,
            [
                "x": scaled("x", "from"), "x2": scaled("x", "to"), "y": scaled("bar", "bar"),
                "height": ["scale": "bar", "band": 1], "fill": scaled("colour", "s"),
                "fillOpacity": constant(0.75), "stroke": signal("surface"),
                "strokeWidth": constant(1),
                "tooltip": signal(text),
            ])
        let barNames = JSONValue.array(bars.map { .string($0.name) })
        return Report.specification(
            height: max(1, bars.count) * 38,
            signals: [names, ["name": "barNames", "value": barNames]]
                + tickSignals("x", quantity, in: domain, wideMost: 10, narrowMost: 4),
            data: [table("parts", rows)],
            scales: [
                axisScale("x", quantity, domain: domain, range: "width"),
                [
                    "name": "bar", "type": "band", "range": "height", "padding": 0.3,
                    "domain": .array(bars.indices.map { .integer($0) }),
                ],
                colourScale,
            ],
            axes: [
                axis("x", orient: "bottom", title: quantity.title, grid: true),
                [
                    "scale": "bar", "orient": "left", "domain": false, "ticks": false,
                    "labelLimit": signal("containerWidth * 0.35"), "zindex": 0,
                    "encode": ["labels": ["update": ["text": signal("barNames[datum.value]")]]],
                ],
            ],
            legends: legends, marks: [.object(rectangle)])
    }

    // MARK: - Areas

    private func areaSpecification(
        _ x: ChartAxis, _ rows: [(x: Double, amounts: [Double])]
    ) -> JSONObject {
        let drawn = averaged(rows.filter { x.drawable($0.x) != nil })
        let xDomain = x.domain(of: drawn.map(\.x), margin: 0)
        let yDomain = domain(drawn.map(\.amounts))
        var points: [JSONValue] = []
        for row in drawn {
            var total = 0.0
            for part in parts.indices {
                let amount = stackable(row.amounts, part)
                points.append([
                    "x": .number(row.x), "s": .integer(part), "y": .number(amount),
                    "base": .number(total), "top": .number(total + amount),
                ])
                total += amount
            }
        }
        let area = mark(
            "area", from: "one",
            [
                "x": scaled("x", "x"), "y": scaled("y", "base"), "y2": scaled("y", "top"),
                "fill": scaled("colour", "s"), "fillOpacity": constant(0.75),
                "stroke": signal("surface"), "strokeWidth": constant(0.75),
            ])
        let areas: JSONValue = [
            "type": "group", "interactive": false,
            "from": ["facet": ["name": "one", "data": "points", "groupby": "s"]],
            "marks": [.object(area)],
        ]
        return Report.specification(
            height: 260,
            signals: [names, ["name": "xTitle", "value": .string(x.title)]] + Hover.signals
                + tickSignals("x", x, in: xDomain, wideMost: 10, narrowMost: 5)
                + tickSignals("y", quantity, in: yDomain, wideMost: 6, narrowMost: 6),
            data: [table("points", points)]
                + Hover.data(value: quantity.style.expression("datum.y")),
            scales: [
                axisScale("x", x, domain: xDomain, range: "width"),
                axisScale("y", quantity, domain: yDomain, range: "height"), colourScale,
            ],
            axes: [
                axis("y", orient: "left", grid: true),
                axis("x", orient: "bottom", title: x.title, grid: false),
            ],
            legends: legends, marks: [areas] + Hover.marks(x: x.style, y: "top"),
            heading: quantity.title)
    }

    /// At most 400 rows, each the mean of a run of rows, so that the parts still add up.
    private func averaged(
        _ rows: [(x: Double, amounts: [Double])], most: Int = 400
    ) -> [(x: Double, amounts: [Double])] {
        guard rows.count > most else { return rows }
        return (0..<most).map { run in
            let part = rows[(run * rows.count / most)..<((run + 1) * rows.count / most)]
            let count = Double(part.count)
            let amounts = parts.indices.map { index in
                part.reduce(0) { $0 + stackable($1.amounts, index) } / count
            }
            return (part.reduce(0) { $0 + $1.x } / count, amounts)
        }
    }
}
