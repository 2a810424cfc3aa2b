import Glibc

/// Functions that format numbers and phrases for people.
package enum Format {
    /// Returns a time span in its two largest units: "420 ms", "4.2 s", "42 s", "1 min 20 s", "2 h
    /// 5 min".
    ///
    /// Without `tenths`, the span is rounded to whole seconds, which suits an estimate.
    package static func duration(_ seconds: Double, tenths: Bool = true) -> String {
        guard seconds.isFinite, seconds < 1e15 else { return "unknown" }
        let seconds = max(0, seconds)
        if tenths, seconds < 0.00995 { return "\(significant(seconds * 1000, digits: 2)) ms" }
        if tenths, seconds < 0.9995 { return "\(Int((seconds * 1000).rounded())) ms" }
        if tenths, seconds < 9.95 { return fixed(seconds, decimals: 1) + " s" }
        let whole = Int(seconds.rounded())
        let (days, hours) = (whole / 86400, whole / 3600 % 24)
        let (minutes, rest) = (whole / 60 % 60, whole % 60)
        if days > 0 { return pair((days, "d"), (hours, "h")) }
        if hours > 0 { return pair((hours, "h"), (minutes, "min")) }
        if minutes > 0 { return pair((minutes, "min"), (rest, "s")) }
        return "\(rest) s"
    }

    /// Returns a whole number with separators between thousands: "1,234,567".
    package static func count(_ number: Int) -> String {
        let digits = String(number.magnitude)
        var text = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }

    /// Returns an amount of data in powers of 1024: "512 B", "1.5 KiB", "23.4 MiB".
    package static func bytes(_ count: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var amount = Double(max(0, count))
        var unit = 0
        // 1023.95 would be rounded to 1024.0.
        while amount >= 1023.95, unit < units.count - 1 {
            amount /= 1024
            unit += 1
        }
        return unit == 0 ? "\(max(0, count)) B" : fixed(amount, decimals: 1) + " " + units[unit]
    }

    /// Returns a rate: "12,345 tokens/s", "3.4 steps/s", "0.021 windows/s".
    package static func rate(_ perSecond: Double, of unit: String) -> String {
        guard perSecond.isFinite, perSecond.magnitude < 1e15 else { return "unknown \(unit)/s" }
        let number =
            switch perSecond {
            case 99.95...: count(Int(perSecond.rounded()))
            case 0.995...: fixed(perSecond, decimals: 1)
            default: significant(perSecond, digits: 2)
            }
        return "\(number) \(unit)/s"
    }

    /// Returns a number with a noun: "1 rank", "2 ranks", "1,000 batches".
    ///
    /// - Parameter plural: the plural of the noun; nil to append an s.
    package static func counted(
        _ number: Int, _ thing: String, _ plural: String? = nil
    ) -> String {
        "\(count(number)) \(number == 1 ? thing : plural ?? thing + "s")"
    }

    /// Returns the description of a layout: "2 ranks x 1 thread".
    package static func layout(ranks: Int, threads: Int) -> String {
        "\(counted(ranks, "rank")) x \(counted(threads, "thread"))"
    }

    /// Returns a number with a fixed number of decimals: "1.8857".
    package static func fixed(_ number: Double, decimals: Int) -> String {
        let text = formatted("%.\(decimals)f", number)
        // A number that rounds to zero has no sign.
        return text.hasPrefix("-") && !text.contains { "123456789".contains($0) }
            ? String(text.dropFirst()) : text
    }

    /// Returns a number in scientific notation with some significant digits: "9.81e-04".
    package static func scientific(_ number: Double, digits: Int) -> String {
        formatted("%.\(max(1, digits) - 1)e", number)
    }

    /// Returns a number with at most some significant digits: "0.021".
    package static func significant(_ number: Double, digits: Int) -> String {
        formatted("%.\(digits)g", number)
    }

    private static func pair(
        _ large: (count: Int, unit: String), _ small: (count: Int, unit: String)
    ) -> String {
        "\(large.count) \(large.unit)" + (small.count == 0 ? "" : " \(small.count) \(small.unit)")
    }

    /// Formats one number with printf(3).
    private static func formatted(_ format: String, _ number: Double) -> String {
        // The longest fp64 number in fixed notation has 309 digits before its point.
        var buffer = [CChar](repeating: 0, count: 400)
        withVaList([number]) { _ = vsnprintf(&buffer, buffer.count, format, $0) }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Returns a clause as a sentence, with a capital letter and a full stop.
    package static func sentence(_ clause: String) -> String {
        clause.prefix(1).uppercased() + clause.dropFirst() + "."
    }

    /// Returns items as a list: "a", "a and b", or "a, b and c".
    package static func list(_ items: [String]) -> String {
        guard let last = items.last, items.count > 1 else { return items.first ?? "" }
        return items.dropLast().joined(separator: ", ") + " and " + last
    }

    /// Returns items as alternatives: "a", "a or b", or "a, b or c".
    package static func alternatives(_ items: [String]) -> String {
        guard let last = items.last, items.count > 1 else { return items.first ?? "" }
        return items.dropLast().joined(separator: ", ") + " or " + last
    }
}
