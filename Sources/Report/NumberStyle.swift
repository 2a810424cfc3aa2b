import Support

/// How numbers of one kind are read: as text here, and as an expression for Vega's tooltips.
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

    /// The number as text; "n/a" where it is not finite.
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

    /// A Vega expression for the text of the number that another expression gives.
    func expression(_ value: String) -> String {
        let exponential = "replace(format(\(value), '.2~e'), '+', '')"
        let number =
            switch self {
            case .plain:
                "abs(\(value)) < 1e6 && \(value) === floor(\(value)) ? format(\(value), ',') : "
                    + "abs(\(value)) < 1e-3 || abs(\(value)) >= 1e5 ? \(exponential) : "
                    + "format(\(value), '.4~g')"
            case .scientific:
                "abs(\(value)) >= 0.1 && abs(\(value)) < 1000 ? format(\(value), '.3~r') : "
                    + exponential
            case .count:
                [("1e15", "P"), ("1e12", "T"), ("1e9", "G"), ("1e6", "M"), ("1e3", "k")].map {
                    "abs(\(value)) >= 0.9995 * \($0.0) ? format(\(value) / \($0.0), '.3~r') + ' \($0.1)' : "
                }.joined() + "format(\(value), '.3~r')"
            case .duration:
                "\(value) < 1 ? format(\(value) * 1000, '.3~r') + ' ms' : "
                    + "\(value) < 60 ? format(\(value), '.3~r') + ' s' : "
                    + "\(value) < 3600 ? floor(\(value) / 60) + ' min ' "
                    + "+ floor(\(value) % 60) + ' s' : "
                    + "floor(\(value) / 3600) + ' h ' + floor(\(value) % 3600 / 60) + ' min'"
            case .percent: "format(\(value) * 100, '.3~r') + ' %'"
            }
        return "(!isValid(\(value)) ? 'n/a' : \(value) === 0 ? '0' : \(number))"
    }

    /// A number with an exponent and no zeros that say nothing: "3e-4".
    private static func exponential(_ value: Double, digits: Int) -> String {
        let parts = Format.scientific(value, digits: digits).split(separator: "e")
        guard parts.count == 2, let exponent = Int(parts[1]) else { return "\(value)" }
        var mantissa = parts[0]
        if mantissa.contains(".") {
            while mantissa.hasSuffix("0") { mantissa.removeLast() }
            if mantissa.hasSuffix(".") { mantissa.removeLast() }
        }
        return "\(mantissa)e\(exponent)"
    }
}
