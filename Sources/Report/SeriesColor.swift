import Support

/// The color of a series, which depends on the kind of its values.
package enum SeriesColor: Sendable, Equatable {
    /// A color of the theme's palette, for things without an order, such as runs and rules.
    case palette(Int)
    /// A color of the theme's ramp, from 0 to 1, for things with an order, such as batches.
    case ordered(Double)
    /// The color of text, for a measurement or a limit with which the other series are compared.
    case ink

    /// Returns the color of one of several things with an order.
    package static func ordered(_ index: Int, of count: Int) -> SeriesColor {
        .ordered(count > 1 ? Double(index) / Double(count - 1) : 0)
    }

    /// The color as a field of a template's data.
    var json: JSONValue {
        switch self {
        case .palette(let index): ["palette": .integer(index)]
        case .ordered(let place): ["place": .number(place)]
        case .ink: [:]
        }
    }
}
