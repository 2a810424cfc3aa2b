import Support

/// Horizontal bars of amounts that add up to a total, such as the parts of a step's time.
package struct StackedChart: ChartDescription {
    /// A bar with an amount for each part.
    package struct Bar: Sendable {
        package var name: String
        /// The amount of each part.
        package var amounts: [Double]

        package init(_ name: String, _ amounts: [Double]) {
            self.name = name
            self.amounts = amounts
        }
    }

    package let chart: Chart

    /// Creates a chart of stacked bars.
    ///
    /// - Parameters:
    ///   - parts: the names of the parts, from the first to the last of a bar.
    ///   - quantity: the quantity of the amounts, from zero up.
    ///   - bars: the bars; negative and missing amounts count as zero.
    package init(
        title: String, sentence: String, parts: [String], quantity: ChartAxis, bars: [Bar]
    ) {
        var quantity = quantity
        quantity.fromZero = true
        let amounts = bars.map { bar in
            parts.indices.map { part in
                part < bar.amounts.count ? max(0, quantity.drawable(bar.amounts[part]) ?? 0) : 0
            }
        }
        let x = FittedAxis(quantity, to: amounts.map { $0.reduce(0, +) })
        var template = ChartTemplate(PackageResources.bars_vg_json)
        template.setSignal("xAxis", to: x.signal(padding: 8))
        template.setData(
            "bars", to: bars.enumerated().map { ["bar": .integer($0), "name": .string($1.name)] })
        template.setData(
            "parts", to: parts.enumerated().map { ["part": .integer($0), "name": .string($1)] })
        template.setData(
            "amounts",
            to: amounts.enumerated().flatMap { bar, row in
                row.enumerated().map { part, amount in
                    ["bar": .integer(bar), "part": .integer(part), "amount": x.number(amount)]
                }
            })
        template.setTable(
            "amounts",
            [
                .init("bar", "bar", names: bars.map(\.name)), .init("part", "part", names: parts),
                .init(x.title, "amount"),
            ])
        if parts.isEmpty { template.removeFirstLegend() }
        chart = template.chart(title: title, sentence: sentence)
    }
}
