import Support

/// The colors of a page and its charts, light or dark.
///
/// People who cannot see red, green or blue can distinguish the colors of the series, and each has
/// a contrast of 3 or more with the background (WCAG 2.1, 1.4.11). The tests measure both. The
/// lightness of the ramps changes steadily, and the low end, which is the good end for losses, is
/// the most prominent. Each quantity has one palette on all pages: losses have a ramp, batches
/// another one, and verdicts three colors.
package struct Theme: Sendable {
    /// The page's background, which is also that of charts.
    package let surface: String
    package let raised: String
    package let ink: String
    package let muted: String
    package let faint: String
    package let accent: String
    /// The color of the lines between the levels of a contour map.
    package let isoline: String
    /// The color of cells without a value.
    package let absent: String
    /// The colors of series without an order, such as runs and rules.
    package let palette: [String]
    /// The colors of a ramp for series with an order, such as batches, from first to last.
    package let ordered: [String]
    /// The colors of a ramp from low to high.
    package let heat: [String]
    /// The colors of a ramp from low to high that leaves paths drawn on it readable.
    package let terrain: [String]
    package let good: String
    package let warning: String
    package let bad: String
    /// The colors of cells with the verdicts `holds`, `undecided` and `fails`.
    package let verdicts: [String]

    package static let light = Theme(
        surface: "#ffffff", raised: "#f6f7f9", ink: "#1b2026", muted: "#59636e", faint: "#e3e6ea",
        accent: "#8a3ffc", isoline: "#ffffff", absent: "#eceff2",
        palette: ["#154fba", "#bd8200", "#009068", "#c2409c", "#6b3410", "#3a3f47"],
        ordered: ["#d9772a", "#d1495b", "#a62a8b", "#6a1fa0", "#1d1363"],
        heat: ["#0c2c84", "#225ea8", "#1d91c0", "#41b6c4", "#7fcdbb", "#c7e9b4", "#f3fac8"],
        terrain: ["#86acc9", "#b3cde0", "#d9e6f0", "#f3f6f9"],
        good: "#00756e", warning: "#8a5a00", bad: "#b8321a",
        verdicts: ["#00756e", "#f2cf7e", "#b8321a"])

    package static let dark = Theme(
        surface: "#14181d", raised: "#1c2127", ink: "#e6e9ed", muted: "#a0a9b4", faint: "#2d343c",
        accent: "#be95ff", isoline: "#14181d", absent: "#262c33",
        palette: ["#6292eb", "#ffb945", "#45d6a0", "#cd67a5", "#8a8420", "#d4dcf0"],
        ordered: ["#b5368b", "#d8576b", "#f0804e", "#fca636", "#f4f05a"],
        heat: ["#f3fac8", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#14306f"],
        terrain: ["#41678a", "#304a64", "#243648", "#1b2530"],
        good: "#5ecfc2", warning: "#e5b454", bad: "#ff8a75",
        verdicts: ["#2f9a90", "#f5dc9a", "#c4452f"])

    /// The declarations of the colors for the page's style sheet.
    package var styleVariables: String {
        [
            ("surface", surface), ("raised", raised), ("ink", ink), ("muted", muted),
            ("faint", faint), ("accent", accent), ("good", good), ("warning", warning),
            ("bad", bad),
        ].map { "--\($0.0): \($0.1);" }.joined(separator: " ")
    }

    /// The Vega configuration of the theme: the fonts, the colors of axes and legends, and the
    /// signals from which chart templates read their colors.
    package var configuration: JSONObject {
        func named(_ name: String, _ value: JSONValue) -> JSONValue {
            ["name": .string(name), "value": value]
        }
        func list(_ colors: [String]) -> JSONValue { .array(colors.map(JSONValue.string)) }
        let font: JSONValue = .string(PageStyle.font)
        let (ink, muted) = (JSONValue.string(ink), JSONValue.string(muted))
        let faint = JSONValue.string(faint)
        return [
            "signals": [
                named("surface", .string(surface)), named("ink", ink), named("muted", muted),
                named("faint", faint), named("accent", .string(accent)),
                named("isoline", .string(isoline)), named("absent", .string(absent)),
                named("palette", list(palette)), named("ordered", list(ordered)),
                named("heat", list(heat)), named("terrain", list(terrain)),
                named("verdicts", list(verdicts)),
            ],
            "background": .string(surface),
            "axis": [
                "labelFont": font, "labelFontSize": 11, "labelColor": muted, "labelPadding": 6,
                "titleFont": font, "titleFontSize": 12, "titleFontWeight": "normal",
                "titleColor": ink, "titlePadding": 10, "titleLimit": 600,
                "gridColor": faint, "domainColor": muted, "tickColor": muted, "tickSize": 4,
            ],
            "legend": [
                "labelFont": font, "labelFontSize": 12, "labelColor": ink, "titleFont": font,
                "titleFontSize": 12, "titleFontWeight": "normal", "titleColor": ink,
                "titleLimit": 400, "symbolSize": 160, "symbolStrokeWidth": 2, "columnPadding": 18,
                "rowPadding": 4, "offset": 14, "titlePadding": 6,
                "layout": ["bottom": ["anchor": "start", "direction": "vertical", "margin": 14]],
            ],
            "title": [
                "font": font, "fontSize": 12, "fontWeight": "normal", "color": ink,
            ],
            "text": ["font": font, "fontSize": 11, "fill": ink],
        ]
    }
}
