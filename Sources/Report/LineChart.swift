/// One or several series over a common axis: losses, rates, norms, fits, and what was found in
/// them.
package struct LineChart: ChartDescription {
    /// A point of a series; what cannot be drawn on its axis leaves a gap.
    package struct Point: Sendable, Equatable {
        package let x: Double
        package let y: Double
        /// The ends of an interval around y, such as a confidence interval.
        package let interval: ClosedRange<Double>?

        package init(_ x: Double, _ y: Double, interval: ClosedRange<Double>? = nil) {
            self.x = x
            self.y = y
            self.interval = interval
        }
    }

    package struct Series: Sendable {
        package enum Style: Sendable {
            /// A line; intervals are a band around it.
            case line
            /// A line with its points marked; intervals are a band.
            case lineAndPoints
            /// Points alone; intervals are whiskers.
            case points
            /// A dashed line: a rule or a fit to compare with.
            case dashed
        }

        package var name: String
        package var style: Style
        /// By rising x.
        package var points: [Point]
        /// The place of its colour in the theme, so that a fit can have its points' colour; nil for
        /// the next.
        package var colour: Int?
        /// Whether the legend names it.
        package var isListed: Bool
        /// Of its line, in pixels.
        package var lineWidth: Double

        package init(
            _ name: String, _ style: Style = .line, points: [Point], colour: Int? = nil,
            isListed: Bool = true, lineWidth: Double = 1.6
        ) {
            self.name = name
            self.style = style
            self.points = points
            self.colour = colour
            self.isListed = isListed
            self.lineWidth = lineWidth
        }
    }

    /// A vertical rule at something worth a name: "valley 3e-4".
    package struct Marker: Sendable {
        package var x: Double
        package var label: String

        package init(_ x: Double, _ label: String) {
            self.x = x
            self.label = label
        }
    }

    /// A shaded stretch of the x axis.
    package struct Span: Sendable {
        package var x: ClosedRange<Double>
        package var label: String

        package init(_ x: ClosedRange<Double>, _ label: String) {
            self.x = x
            self.label = label
        }
    }

    /// A dashed horizontal rule: a target, a baseline.
    package struct Level: Sendable {
        package var y: Double
        package var label: String

        package init(_ y: Double, _ label: String) {
            self.y = y
            self.label = label
        }
    }

    package var title: String
    package var sentence: String
    package var x: ChartAxis
    package var y: ChartAxis
    package var series: [Series]
    package var markers: [Marker]
    package var spans: [Span]
    package var levels: [Level]
    /// Of the plot, in pixels.
    package var height: Int

    package init(
        title: String, sentence: String, x: ChartAxis, y: ChartAxis, series: [Series],
        markers: [Marker] = [], spans: [Span] = [], levels: [Level] = [], height: Int = 280
    ) {
        self.title = title
        self.sentence = sentence
        self.x = x
        self.y = y
        self.series = series
        self.markers = markers
        self.spans = spans
        self.levels = levels
        self.height = height
    }

    /// The ends of the x axis: all points, markers and spans are inside.
    var xDomain: ClosedRange<Double> {
        let values =
            series.flatMap { $0.points.map(\.x) } + markers.map(\.x)
            + spans.flatMap { [$0.x.lowerBound, $0.x.upperBound] }
        return x.domain(of: values, margin: series.contains { $0.style.hasPoints } ? 0.03 : 0)
    }

    /// The ends of the y axis: all points, intervals and levels are inside.
    var yDomain: ClosedRange<Double> {
        let values = series.flatMap { series in
            series.points.flatMap { point in
                [point.y] + (point.interval.map { [$0.lowerBound, $0.upperBound] } ?? [])
            }
        }
        return y.domain(of: values + levels.map(\.y), margin: 0.06)
    }
}

extension LineChart.Series.Style {
    var hasLine: Bool { self != .points }
    var hasPoints: Bool { self == .points || self == .lineAndPoints }
}
