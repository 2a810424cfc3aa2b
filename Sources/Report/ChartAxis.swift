import Glibc

/// One axis of a chart: what it measures, and how.
package struct ChartAxis: Sendable {
    package enum Scale: String, Sendable {
        case linear
        case log
    }

    /// What is measured, with its unit.
    package var title: String
    package var scale: Scale
    package var style: NumberStyle
    /// The ends of the axis, where the data must not choose them; what lies beyond is cut off.
    package var limits: ClosedRange<Double>?
    /// The places that are labelled where round numbers would not do, in rising order: the batches
    /// of a sweep.
    package var chosen: [Double]?
    /// Whether the axis starts at zero.
    package var fromZero: Bool

    package init(
        _ title: String, scale: Scale = .linear, style: NumberStyle = .plain,
        limits: ClosedRange<Double>? = nil, chosen: [Double]? = nil, fromZero: Bool = false
    ) {
        self.title = title
        self.scale = scale
        self.style = style
        self.limits = limits
        self.chosen = chosen
        self.fromZero = fromZero
    }

    /// A number as it can be drawn on this axis: nil leaves a gap.
    ///
    /// Numbers as large as 1e100 say no more than infinity does, and their differences overflow.
    func drawable(_ value: Double?) -> Double? {
        guard let value, value.magnitude < 1e100, scale == .linear || value > 0 else { return nil }
        return value
    }

    /// The ends of the axis for some values, those that cannot be drawn being left out.
    ///
    /// - Parameter margin: how much of the axis stays free at each end.
    package func domain(of values: [Double], margin: Double) -> ClosedRange<Double> {
        if let limits { return limits }
        let drawn = values.compactMap(drawable)
        guard let low = drawn.min(), let high = drawn.max() else {
            return scale == .log ? 1...10 : 0...1
        }
        if scale == .log {
            let (lowest, highest) = (log10(low), log10(high))
            let free = highest > lowest ? (highest - lowest) * margin : 0.3
            return pow(10, lowest - free)...pow(10, highest + free)
        }
        if fromZero {
            let end = max(high, 0) * (1 + margin)
            return min(low, 0)...(end > min(low, 0) ? end : 1)
        }
        let free = high > low ? (high - low) * margin : max(abs(low) * 0.1, 1e-3)
        return (low - free)...(high + free)
    }

    /// How far along an axis a value lies, from 0 to 1 between the ends of its domain.
    func fraction(of value: Double, in domain: ClosedRange<Double>) -> Double {
        func position(_ value: Double) -> Double { scale == .log ? log10(value) : value }
        let (low, high) = (position(domain.lowerBound), position(domain.upperBound))
        return high > low ? (position(value) - low) / (high - low) : 0.5
    }

    /// The value that lies a fraction of the way along an axis, the inverse of `fraction`.
    func value(at fraction: Double, in domain: ClosedRange<Double>) -> Double {
        let (low, high) = (domain.lowerBound, domain.upperBound)
        guard scale == .log else { return low + fraction * (high - low) }
        return low * pow(high / low, fraction)
    }
}
