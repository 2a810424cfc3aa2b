import Support

/// A quantity over a plane, drawn as a surface in perspective.
package struct SurfaceChart: ChartDescription {
    package var title: String
    package var sentence: String
    package var xTitle: String
    package var yTitle: String
    /// The values; a value that is not finite leaves a hole.
    package var grid: RegularGrid
    /// The quantity of the heights, on a linear scale. Values are clamped to its limits.
    package var quantity: ChartAxis

    package init(
        title: String, sentence: String, xTitle: String, yTitle: String, grid: RegularGrid,
        quantity: ChartAxis
    ) {
        self.title = title
        self.sentence = sentence
        self.xTitle = xTitle
        self.yTitle = yTitle
        self.grid = grid
        self.quantity = quantity
    }

    package var specification: JSONObject {
        var template = ChartTemplate(PackageResources.surface_vg_json)
        template.setPlane(grid, xTitle: xTitle, yTitle: yTitle)
        template.setSignal("values", to: FittedAxis(quantity, to: grid.values).signal(padding: 0))
        template.setData(
            "grid", to: [grid.row { quantity.drawable($0).map(JSONValue.number) ?? .null }])
        return template.specification
    }
}
