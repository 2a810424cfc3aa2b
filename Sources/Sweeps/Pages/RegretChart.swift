import Report
import Support
import Verdicts

/// A chart of regrets with their intervals and a band for the tolerance: those of rules at batches,
/// or those of the smallest model's rate at larger models.
struct RegretChart {
    /// The regrets in one color, in ascending order of batch or number of parameters.
    struct Line {
        let name: String
        let regrets: [Regret]
        let color: SeriesColor
        /// The batch at which a rule changes nothing, or the number of parameters of the smallest
        /// model.
        let base: Int
    }

    let title: String
    /// The meaning of a point and of the gray band, in sentences.
    let sentence: String
    let x: ChartAxis
    let lines: [Line]
    let tolerance: Double

    /// The limits of the top of the regret axis, in tolerances.
    static let visibleTolerances = 2.0...6.0

    /// The chart; nil if no regret is known.
    var chart: LineChart? {
        let series = lines.map { line in
            LineChart.Series(
                line.name, .lineAndPoints,
                points: line.regrets.map { Self.point($0, isBase: $0.batch == line.base) },
                color: line.color)
        }
        let shown = series.filter { series in
            series.points.contains { !$0.y.isNaN || $0.interval != nil }
        }
        let points = shown.flatMap(\.points)
        let places = x.chosen ?? points.map(\.x)
        guard !points.isEmpty, let first = places.min(), let last = places.max() else { return nil }
        let allowed = LineChart.Series(
            "tolerance", .dashed,
            points: [first, last].map { LineChart.Point($0, tolerance, interval: 0...tolerance) },
            color: .ink)
        let top = top(of: points)
        return LineChart(
            title: title, sentence: sentence + Self.marks(in: points, top: top), x: x,
            y: ChartAxis("regret, nats per token", limits: 0...top, marksBeyond: true),
            series: [allowed] + shown, height: 300)
    }

    /// Returns the top of an axis that shows all regrets unless they are very large.
    private func top(of points: [LineChart.Point]) -> Double {
        let ends = points.flatMap { point in
            [point.y] + (point.interval.map { [$0.lowerBound, $0.upperBound] } ?? [])
        }
        let range = Self.visibleTolerances
        let most = 1.1 * (ends.filter(\.isFinite).max() ?? 0)
        return min(max(most, range.lowerBound * tolerance), range.upperBound * tolerance)
    }

    /// Returns the point of a regret, with as much of its interval as is known. If the regret was
    /// not measured, y is not a number.
    private static func point(_ regret: Regret, isBase: Bool) -> LineChart.Point {
        let x = Double(regret.batch)
        switch regret.outcome {
        case .measured(let estimate):
            let value = max(0, estimate.value)
            // At the base, the regret is 0 by definition.
            guard !isBase else { return LineChart.Point(x, value, interval: value...value) }
            guard let least = regret.lower else { return LineChart.Point(x, value) }
            let lower = min(max(0, least), value)
            let greatest = regret.isLowerBound ? nil : regret.upper
            let upper = greatest.map { max($0, value) } ?? .infinity
            return LineChart.Point(x, value, interval: lower...upper)
        case .diverged: return LineChart.Point(x, .infinity)
        case .belowDivergence, .outsideGrid, .unavailable:
            // A lower end of 0 says nothing, because no regret is negative.
            let lower = regret.lower.flatMap { $0 > 0 && $0.isFinite ? $0 : nil }
            return LineChart.Point(x, .nan, interval: lower.map { $0...Double.infinity })
        }
    }

    /// Returns sentences about arrows, gaps and the marks at the top edge, after a space.
    private static func marks(in points: [LineChart.Point], top: Double) -> String {
        let isOpen = points.contains { point in
            point.interval.map { $0.upperBound == .infinity && $0.lowerBound < top } ?? false
        }
        let above = points.count { $0.y > top && $0.y.isFinite }
        let diverged = points.count { $0.y == .infinity }
        return
            (isOpen
            ? " An arrow begins at the lower end of an interval whose upper end is unknown." : "")
            + (points.contains { $0.y.isNaN }
                ? " A line has a gap where the cost was not measured." : "")
            + edgeSentence(
                triangles: EdgeMarks(above, "a greater cost", "greater costs"),
                crosses: EdgeMarks(diverged, "a rate that diverged", "rates that diverged"))
    }

    /// The things that triangles or crosses at the top edge of a chart mark.
    struct EdgeMarks {
        /// The phrase for the things, such as "a greater cost" or "3 greater costs".
        private let phrase: String
        private let isSingle: Bool

        /// Returns nil if there are none.
        ///
        /// - Parameters:
        ///   - one: the phrase for a single thing.
        ///   - many: the words after the number of several things.
        ///   - prefix: the words before the number of several things.
        init?(_ count: Int, _ one: String, _ many: String, after prefix: String = "") {
            guard count > 0 else { return nil }
            phrase = count == 1 ? one : "\(prefix)\(Format.count(count)) \(many)"
            isSingle = count == 1
        }

        /// Returns the clause about the things, with the name of their shape.
        func clause(_ shape: String, _ shapes: String) -> String {
            isSingle ? "a \(shape) marks \(phrase)" : "\(shapes) mark \(phrase)"
        }
    }

    /// Returns a sentence about the marks at the top edge of a chart, after a space; empty if there
    /// are none.
    static func edgeSentence(triangles: EdgeMarks?, crosses: EdgeMarks?) -> String {
        let kinds = [
            triangles?.clause("triangle", "triangles"), crosses?.clause("cross", "crosses"),
        ].compactMap(\.self)
        return kinds.isEmpty ? "" : " At the top edge, \(Format.list(kinds))."
    }
}
