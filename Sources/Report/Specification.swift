import Support

// Parts that the specifications of all charts share. Colours are signals that the page's theme
// defines, so one specification serves light and dark; texts never stand in expressions, only in
// data and in signals' values.

/// A value that an expression gives.
func signal(_ expression: String) -> JSONValue { ["signal": .string(expression)] }

/// A fixed value of a mark's property.
func constant(_ value: JSONValue) -> JSONValue { ["value": value] }

/// A field of the data on a scale.
func scaled(_ scale: String, _ field: String) -> JSONValue {
    ["scale": .string(scale), "field": .string(field)]
}

/// A number that is null where it cannot be drawn.
func optional(_ value: Double?) -> JSONValue { value.map(JSONValue.number) ?? .null }

/// A mark whose properties are set at every update.
func mark(
    _ type: String, from data: String? = nil, interactive: Bool = false,
    _ properties: JSONObject
) -> JSONObject {
    var mark: JSONObject = ["type": .string(type), "interactive": .bool(interactive)]
    if let data { mark["from"] = ["data": .string(data)] }
    mark["encode"] = ["update": .object(properties)]
    return mark
}

/// Text over a wider copy of itself in the background's colour, so that it can be read on lines.
func haloed(from data: String, _ properties: JSONObject, fill: JSONValue) -> [JSONValue] {
    var halo = properties
    halo["stroke"] = signal("surface")
    halo["strokeWidth"] = constant(4)
    halo["strokeJoin"] = constant("round")
    halo["fill"] = signal("surface")
    var text = properties
    text["fill"] = fill
    return [.object(mark("text", from: data, halo)), .object(mark("text", from: data, text))]
}

/// Data that stand in the specification.
func table(_ name: String, _ rows: [JSONValue]) -> JSONValue {
    ["name": .string(name), "values": .array(rows)]
}

/// What all specifications begin with; the width is the page's to set.
///
/// - Parameters:
///   - height: of the plot, in pixels, or nil where one of the signals is `height`.
///   - heading: stands above the plot, at the left: what the y axis measures.
///   - maximumWidth: pixels from which on more width is of no use; the page reads it.
func specification(
    height: Int?, signals: [JSONValue], data: [JSONValue], scales: [JSONValue],
    axes: [JSONValue] = [], legends: [JSONValue] = [], marks: [JSONValue],
    heading: String? = nil, maximumWidth: Int? = nil
) -> JSONObject {
    var specification: JSONObject = [
        "$schema": "https://vega.github.io/schema/vega/v5.json",
        "width": 720,
        "padding": ["left": 1, "right": 1, "top": 2, "bottom": 2],
        "autosize": ["type": "fit-x", "contains": "padding"],
        "signals": .array([["name": "containerWidth", "value": 720]] + signals),
        "data": .array(data), "scales": .array(scales),
        "axes": .array(axes), "legends": .array(legends), "marks": .array(marks),
    ]
    if let height { specification["height"] = .integer(height) }
    if let maximumWidth {
        specification["usermeta"] = ["maximumWidth": .integer(maximumWidth)]
    }
    if let heading {
        specification["title"] = [
            "text": .string(heading), "anchor": "start", "frame": "bounds",
            "offset": 10, "limit": signal("containerWidth - 8"),
        ]
    }
    return specification
}

// MARK: - Axes

/// The width from which a chart has room for as many ticks as on a desk.
let wideChart = 560

/// A Vega expression for whether it has not.
let isNarrow = "containerWidth < \(wideChart)"

/// Signals with the ticks of an axis, fewer of them where the chart is narrow.
func tickSignals(
    _ name: String, _ axis: ChartAxis, in domain: ClosedRange<Double>, wideMost: Int,
    narrowMost: Int
) -> [JSONValue] {
    func list(_ ticks: [Tick], _ name: String) -> [JSONValue] {
        [
            ["name": .string(name), "value": .array(ticks.map { .number($0.value) })],
            [
                "name": .string("\(name)Labels"),
                "value": .array(ticks.map { .string($0.label) }),
            ],
        ]
    }
    return list(axis.ticks(in: domain, most: wideMost), "\(name)Wide")
        + list(axis.ticks(in: domain, most: narrowMost), "\(name)Narrow")
        + ["", "Labels"].map { part in
            let choice =
                "\(isNarrow) ? \(name)Narrow\(part) : \(name)Wide\(part)"
            return ["name": .string("\(name)Ticks\(part)"), "update": .string(choice)]
        }
}

/// An axis at the bottom or the left with the ticks of `tickSignals` of the same name.
func axis(_ scale: String, orient: String, title: String? = nil, grid: Bool) -> JSONValue {
    let label = "\(scale)TicksLabels[indexof(\(scale)Ticks, datum.value)]"
    var axis: JSONObject = [
        "scale": .string(scale), "orient": .string(orient), "values": signal("\(scale)Ticks"),
        "encode": ["labels": ["update": ["text": signal(label)]]],
        "grid": .bool(grid), "domain": .bool(!grid), "ticks": .bool(!grid), "zindex": 0,
        "labelOverlap": "greedy", "labelSeparation": 6,
    ]
    if let title { axis["title"] = .string(title) }
    return .object(axis)
}

/// A scale of an axis over a domain.
func axisScale(
    _ name: String, _ axis: ChartAxis, domain: ClosedRange<Double>, range: String
) -> JSONValue {
    [
        "name": .string(name), "type": .string(axis.scale.rawValue),
        "domain": [.number(domain.lowerBound), .number(domain.upperBound)],
        "range": .string(range), "zero": false, "nice": false,
    ]
}

// MARK: - Colours of series

/// The colours of the theme at these places, as a range; beyond the last they begin again.
func seriesRange(_ places: [Int]) -> JSONValue {
    signal("[" + places.map { "series[\($0 % Theme.seriesCount)]" }.joined(separator: ", ") + "]")
}

/// As many columns of a legend as fit, for entries as long as the longest name.
func legendColumns(_ names: [String]) -> JSONValue {
    let entry = min(260, (names.map(\.count).max() ?? 0) * 7 + 48)
    return signal("clamp(floor((containerWidth - 30) / \(entry)), 1, \(max(1, names.count)))")
}

/// Text of a legend's entry, which the scale knows by its place in the signal `names`.
let legendLabels: JSONValue = ["update": ["text": signal("names[datum.value]")]]
