import Support

/// Horizontal bars of amounts that add up to a total, such as the parts of a step's time.
package struct StackedChart: ChartDescription {
    package struct Bar: Sendable {
        package var name: String
        /// The amount of each part.
        package var amounts: [Double]

        package init(_ name: String, _ amounts: [Double]) {
            self.name = name
            self.amounts = amounts
        }
    }

    package var title: String
    package var sentence: String
    /// The names of the parts, from the first to the last of a bar.
    package var parts: [String]
    /// The quantity of the amounts.
    package var quantity: ChartAxis
    package var bars: [Bar]

    package init(
        title: String, sentence: String, parts: [String], quantity: ChartAxis, bars: [Bar]
    ) {
        self.title = title
        self.sentence = sentence
        self.parts = parts
        self.quantity = quantity
        self.quantity.fromZero = true
        self.bars = bars
    }

    /// The amounts of each bar. Negative and missing amounts count as zero.
    private var amounts: [[Double]] {
        bars.map { bar in
            parts.indices.map { part in
                part < bar.amounts.count ? max(0, quantity.drawable(bar.amounts[part]) ?? 0) : 0
            }
        }
    }

    package var specification: JSONObject {
        let amounts = amounts
        let x = FittedAxis(quantity, to: amounts.map { $0.reduce(0, +) })
        var template = ChartTemplate(PackageResources.bars_vg_json)
        template.setSignal("xAxis", to: x.signal(padding: 8))
        template.setData(
            "bars",
            to: bars.enumerated().map { ["bar": .integer($0), "name": .string($1.name)] })
        template.setData(
            "parts",
            to: parts.enumerated().map { ["part": .integer($0), "name": .string($1)] })
        template.setData(
            "amounts",
            to: amounts.enumerated().flatMap { bar, row in
                row.enumerated().map { part, amount in
                    [
                        "bar": .integer(bar), "part": .integer(part), "amount": x.number(amount),
                    ]
                }
            })
        if parts.isEmpty { template.removeFirstLegend() }
        return template.specification
    }
}
