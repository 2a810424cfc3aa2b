import Support

/// One or several series over a common axis, such as losses, rates and fits, with markers.
package struct LineChart: ChartDescription {
    /// A point of a series. A value that its axis cannot show leaves a gap.
    package struct Point: Sendable, Equatable {
        package let x: Double
        package let y: Double
        /// The ends of an interval around y, such as a confidence interval; the upper end is
        /// infinite if it is unknown. A point whose y is not a number may have an interval.
        package let interval: ClosedRange<Double>?

        package init(_ x: Double, _ y: Double, interval: ClosedRange<Double>? = nil) {
            self.x = x
            self.y = y
            self.interval = interval
        }
    }

    /// The points of one quantity and their style.
    package struct Series: Sendable {
        /// The way a series is drawn.
        package enum Style: String, Sendable {
            /// A line; intervals are a band around it.
            case line
            /// A line with its points marked. Intervals are a band between neighboring points that
            /// have one, and otherwise whiskers. An unknown upper end is an arrow.
            case lineAndPoints
            /// Only points; intervals are whiskers, and an unknown upper end is an arrow.
            case points
            /// A dashed line: a rule or a fit to compare with.
            case dashed
        }

        package var name: String
        package var style: Style
        /// The points in ascending order of x.
        package var points: [Point]
        /// The color, which a fit can share with its points; nil for the color of the palette at
        /// the index of the series.
        package var color: SeriesColor?
        /// Whether the legend lists the series.
        package var isListed: Bool
        /// The width of the line in pixels.
        package var lineWidth: Double

        package init(
            _ name: String, _ style: Style = .line, points: [Point], color: SeriesColor?,
            isListed: Bool = true, lineWidth: Double = 1.6
        ) {
            self.name = name
            self.style = style
            self.points = points
            self.color = color
            self.isListed = isListed
            self.lineWidth = lineWidth
        }

        /// Creates a series.
        ///
        /// - Parameter color: the index of the color in the theme's palette.
        package init(
            _ name: String, _ style: Style = .line, points: [Point], color: Int? = nil,
            isListed: Bool = true, lineWidth: Double = 1.6
        ) {
            self.init(
                name, style, points: points, color: color.map(SeriesColor.palette),
                isListed: isListed, lineWidth: lineWidth)
        }
    }

    /// A labeled vertical line, such as "valley 3e-4".
    package struct Marker: Sendable {
        package var x: Double
        package var label: String

        package init(_ x: Double, _ label: String) {
            self.x = x
            self.label = label
        }
    }

    package let chart: Chart

    /// Creates a chart of series over a common axis.
    ///
    /// - Parameter height: the height of the plot in pixels.
    package init(
        title: String, sentence: String, x: ChartAxis, y: ChartAxis, series: [Series],
        markers: [Marker] = [], height: Int = 280
    ) {
        let x = FittedAxis(x, to: series.flatMap { $0.points.map(\.x) } + markers.map(\.x))
        let y = FittedAxis(
            y,
            to: series.flatMap(\.points).flatMap { point in
                [point.y] + (point.interval.map { [$0.lowerBound, $0.upperBound] } ?? [])
            })
        var template = ChartTemplate(PackageResources.lines_vg_json)
        template.setSignal("height", to: .integer(height))
        template.setSignal(
            "xAxis", to: x.signal(padding: series.contains { $0.style.hasPoints } ? 20 : 0))
        template.setSignal("yAxis", to: y.signal(padding: 16))
        template.setScale("x", to: x.axis.scale)
        template.setScale("y", to: y.axis.scale)
        template.setData("series", to: series.enumerated().map { $1.row($0) })
        template.setData("points", to: series.enumerated().flatMap { $1.rows($0, x, y) })
        template.setTable(
            "points",
            [
                .init("series", "s", names: series.map(\.name)), .init(x.title, "x"),
                .init(y.title, "y"), .init("lower", "lower"), .init("upper", "upper"),
                .init("note", "beyond"),
            ])
        template.setData(
            "markers",
            to: markers.filter { x.axis.drawable($0.x) != nil }.map {
                ["x": x.number($0.x), "label": .string($0.label)]
            })
        if series.count(where: \.isListed) < 2 { template.removeFirstLegend() }
        chart = template.chart(title: title, sentence: sentence)
    }
}

extension LineChart.Series.Style {
    fileprivate var hasPoints: Bool { self == .points || self == .lineAndPoints }
}

extension LineChart.Series {
    /// Returns the series as a row of the template's data.
    fileprivate func row(_ index: Int) -> JSONValue {
        [
            "s": .integer(index), "name": .string(name), "style": .string(style.rawValue),
            "color": (color ?? .palette(index)).json, "width": .number(lineWidth),
            "listed": .bool(isListed),
        ]
    }

    /// Returns the word for a point at the top edge of the axis; nil for one on the axis.
    private func beyond(_ value: Double, _ axis: ChartAxis) -> String? {
        guard axis.marksBeyond, style.hasPoints else { return nil }
        if value == .infinity { return "diverged" }
        return axis.limits.map { value > $0.upperBound } ?? false ? "above" : nil
    }

    /// Returns the points as rows of the template's data, thinned if there are many.
    fileprivate func rows(_ index: Int, _ x: FittedAxis, _ y: FittedAxis) -> [JSONValue] {
        let drawn = points.filter { x.axis.drawable($0.x) != nil }
        return thinned(drawn.map { y.axis.drawable($0.y) }).map { place in
            let point = drawn[place]
            var row: JSONObject = [
                "s": .integer(index), "x": x.number(point.x), "y": y.number(point.y),
            ]
            if let interval = point.interval, y.axis.drawable(interval.lowerBound) != nil,
                y.axis.drawable(interval.upperBound) != nil || interval.upperBound == .infinity
            {
                row["lower"] = y.number(interval.lowerBound)
                row["upper"] = y.number(interval.upperBound)
            }
            if let word = beyond(point.y, y.axis) { row["beyond"] = .string(word) }
            return .object(row)
        }
    }
}
