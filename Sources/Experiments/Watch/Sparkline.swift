import Glibc

/// A line of characters whose heights show numbers.
enum Sparkline {
    private static let blocks = Array("▁▂▃▄▅▆▇█")
    /// The heights in a terminal without block characters.
    private static let characters = Array("_.-:=+*#")

    /// Returns a line of at most `columns` characters, each for the mean of some adjacent numbers.
    /// Numbers that are not finite leave a gap.
    ///
    /// - Parameter isLogarithmic: whether heights follow the logarithm, so that the slow end of a
    ///   falling loss can be seen; only if all numbers are positive.
    static func text(
        _ values: [Double], columns: Int, isLogarithmic: Bool = false, unicode: Bool
    ) -> String {
        guard columns > 0, !values.isEmpty else { return "" }
        var heights = bins(values, count: min(columns, values.count))
        let finite = heights.filter(\.isFinite)
        if isLogarithmic, finite.allSatisfy({ $0 > 0 }) { heights = heights.map { log($0) } }
        let known = heights.filter(\.isFinite)
        guard let lowest = known.min(), let highest = known.max() else {
            return String(repeating: " ", count: heights.count)
        }
        let levels = unicode ? blocks : characters
        let range = highest - lowest
        return String(
            heights.map { height in
                guard height.isFinite else { return " " }
                let share = range > 0 && range.isFinite ? (height - lowest) / range : 0.5
                return levels[min(levels.count - 1, Int(share * Double(levels.count)))]
            })
    }

    /// Returns the means of the finite numbers in `count` parts of about the same length.
    private static func bins(_ values: [Double], count: Int) -> [Double] {
        (0..<count).map { bin in
            let part = values[values.count * bin / count..<values.count * (bin + 1) / count]
                .filter(\.isFinite)
            return part.isEmpty ? .nan : part.reduce(0, +) / Double(part.count)
        }
    }
}
