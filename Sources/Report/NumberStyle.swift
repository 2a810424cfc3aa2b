import Support

/// The format of numbers of one kind.
package enum NumberStyle: Sendable {
    /// Losses, norms, batches: "1.886", "2,000", "3e-6".
    case plain
    /// Learning rates: "3e-4", "1.25e-3", "0.5".
    case scientific
    /// Tokens and other large amounts: "950", "12.3 M".
    case count
    /// Seconds: "420 ms", "1 min 30 s", "1 h 20 min".
    case duration
    /// Fractions: "12.5 %".
    case percent

    /// Returns the number as text, or "n/a" if it is not finite.
    package func text(_ value: Double) -> String {
        guard value.isFinite else { return "n/a" }
        if value == 0 { return "0" }
        switch self {
        case .plain:
            let magnitude = value.magnitude
            if magnitude < 1e6, value == value.rounded() { return Format.count(Int(value)) }
            if magnitude < 1e-3 || magnitude >= 1e5 { return Self.exponential(value, digits: 3) }
            return Format.significant(value, digits: 4)
        case .scientific:
            return (0.1..<1000).contains(value.magnitude)
                ? Format.significant(value, digits: 3) : Self.exponential(value, digits: 3)
        case .count:
            var scaled = value
            var units = ["", " k", " M", " G", " T", " P"][...]
            while scaled.magnitude >= 999.5, units.count > 1 {
                scaled /= 1000
                units.removeFirst()
            }
            return Format.significant(scaled, digits: 3) + (units.first ?? "")
        case .duration: return (value < 0 ? "-" : "") + Format.duration(value.magnitude)
        case .percent: return Format.significant(value * 100, digits: 3) + " %"
        }
    }

    /// The d3 format of such numbers in charts, or nil for the default format.
    ///
    /// Durations use the default, because a chart's axis shows them in one unit.
    var vegaFormat: String? {
        switch self {
        case .plain, .duration: nil
        case .scientific: ".2~e"
        case .count: ".3~s"
        case .percent: ".3~p"
        }
    }

    /// Returns a number with an exponent and without trailing zeros, such as "3e-4".
    private static func exponential(_ value: Double, digits: Int) -> String {
        let parts = Format.scientific(value, digits: digits).split(separator: "e")
        guard parts.count == 2, let mantissa = Double(parts[0]), let exponent = Int(parts[1]) else {
            return "\(value)"
        }
        return "\(Format.significant(mantissa, digits: digits))e\(exponent)"
    }
}
