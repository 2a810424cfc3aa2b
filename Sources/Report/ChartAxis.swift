import Glibc
import Support

/// An axis of a chart: its quantity, scale and number style.
package struct ChartAxis: Sendable {
    /// The spacing of the values along an axis.
    package enum Scale: String, Sendable {
        case linear, log
    }

    /// The quantity, with its unit.
    package var title: String
    package var scale: Scale
    package var style: NumberStyle
    /// The ends of the axis, or nil for ends that fit the data. Values beyond them are cut off.
    package var limits: ClosedRange<Double>?
    /// The labeled values if they are not round numbers, such as the batches of a sweep.
    package var chosen: [Double]?
    /// Whether the axis starts at zero.
    package var fromZero: Bool
    /// Whether points above the limits are marked at the top edge of a line chart, those that are
    /// infinite with a cross. If not, they are cut off.
    package var marksBeyond: Bool

    package init(
        _ title: String, scale: Scale = .linear, style: NumberStyle = .plain,
        limits: ClosedRange<Double>? = nil, chosen: [Double]? = nil, fromZero: Bool = false,
        marksBeyond: Bool = false
    ) {
        self.title = title
        self.scale = scale
        self.style = style
        self.limits = limits
        self.chosen = chosen
        self.fromZero = fromZero
        self.marksBeyond = marksBeyond
    }

    /// Returns the number if this axis can show it; nil leaves a gap.
    ///
    /// Numbers from 1e100 up are treated as infinite, because their differences could overflow.
    func drawable(_ value: Double?) -> Double? {
        guard let value, value.magnitude < 1e100, scale == .linear || value > 0 else { return nil }
        return value
    }

    /// Returns the ends of an axis that contains all values that can be drawn.
    package func domain(of values: [Double]) -> ClosedRange<Double> {
        if let limits { return limits }
        let drawn = values.compactMap(drawable)
        guard let low = drawn.min(), let high = drawn.max(), !fromZero || high > 0 else {
            return scale == .log ? 1...10 : 0...1
        }
        if fromZero { return min(low, 0)...high }
        if low < high { return low...high }
        let free = max(abs(low) * 0.1, 1e-3)
        return scale == .log ? (low / 2)...(high * 2) : (low - free)...(high + free)
    }
}

/// An axis for the values of one chart: the axis with its ends and the unit of its numbers.
struct FittedAxis {
    let axis: ChartAxis
    private let domain: ClosedRange<Double>
    /// The unit of durations, with its length in seconds.
    private let unit: (name: String, length: Double)?

    init(_ axis: ChartAxis, to values: [Double]) {
        self.axis = axis
        domain = axis.domain(of: values)
        unit =
            switch domain.upperBound {
            case _ where axis.style != .duration: nil
            case 7200...: ("h", 3600)
            case 120...: ("min", 60)
            case 1...: ("s", 1)
            default: ("ms", 1e-3)
            }
    }

    /// The quantity with its unit, as the chart writes it.
    var title: String { axis.title + (unit.map { ", \($0.name)" } ?? "") }

    /// Returns the number in the axis' unit, or null if the axis cannot show it.
    func number(_ value: Double?) -> JSONValue {
        axis.drawable(value).map { .number($0 / (unit?.length ?? 1)) } ?? .null
    }

    /// Returns the value of a template's signal for the axis.
    ///
    /// - Parameter padding: the pixels that stay free at each end, unless the limits are given.
    func signal(padding: Int) -> JSONValue {
        // Vega labels 1, 2 and 5 of a decade only if it is asked for few ticks.
        let isShort = axis.scale == .log && domain.upperBound < 1e4 * domain.lowerBound
        return [
            "title": .string(axis.title), "unit": .string(unit.map { " \($0.name)" } ?? ""),
            "domain": [number(domain.lowerBound), number(domain.upperBound)],
            "least": axis.fromZero && domain.lowerBound == 0 ? 0 : .null,
            "padding": .integer(axis.limits == nil ? padding : 0), "count": isShort ? 5 : 10,
            "ticks": axis.chosen.map { .array($0.map(JSONValue.number)) } ?? .null,
            "format": axis.style.vegaFormat.map(JSONValue.string) ?? .null,
        ]
    }
}
