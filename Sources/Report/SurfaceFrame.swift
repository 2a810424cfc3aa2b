import Support

/// The box around a surface: its ground, its two far walls, and the labels along its near edges.
struct SurfaceFrame {
    private struct Line {
        let from: PicturePoint
        let to: PicturePoint
        let isEdge: Bool
    }

    private struct Label {
        let place: PicturePoint
        let text: String
        let align: String
        /// From the place, in pixels.
        let offset: (x: Double, y: Double)
        let isTitle: Bool
    }

    private let projection: SurfaceProjection
    /// The ground's corner that is nearest to the eye.
    private let near: (x: Double, y: Double)
    private var lines: [Line] = []
    private var labels: [Label] = []

    init(
        projection: SurfaceProjection, x: ChartAxis, y: ChartAxis, z: ClosedRange<Double>,
        style: NumberStyle
    ) {
        self.projection = projection
        var near = (x: -0.5, y: -0.5)
        for corner in [(0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
        where projection.project(corner.0, corner.1, 0).depth
            < projection.project(near.x, near.y, 0).depth
        {
            near = (x: corner.0, y: corner.1)
        }
        self.near = near
        addGround(x, y)
        addWalls(z, style)
    }

    private func picture(_ x: Double, _ y: Double, _ z: Double = 0) -> PicturePoint {
        projection.project(x, y, z).0
    }

    private mutating func addLine(_ from: PicturePoint, _ to: PicturePoint, isEdge: Bool = false) {
        lines.append(Line(from: from, to: to, isEdge: isEdge))
    }

    /// Lines over the ground at the ticks of both directions, with labels at the near edges.
    private mutating func addGround(_ x: ChartAxis, _ y: ChartAxis) {
        for (axis, isX) in [(x, true), (y, false)] {
            let limits = axis.limits ?? 0...1
            func point(_ along: Double, across: Double) -> PicturePoint {
                isX ? picture(along, across) : picture(across, along)
            }
            let (nearEdge, farEdge) = isX ? (near.y, -near.y) : (near.x, -near.x)
            // The edge runs down to the near corner from the left or from the right.
            let isLeft = point(0, across: nearEdge).x < picture(near.x, near.y).x
            let align = isLeft ? "right" : "left"
            let side: Double = isLeft ? -1 : 1
            for tick in axis.ticks(in: limits, most: 5) {
                let along = axis.fraction(of: tick.value, in: limits) - 0.5
                addLine(point(along, across: nearEdge), point(along, across: farEdge))
                labels.append(
                    Label(
                        place: point(along, across: nearEdge), text: tick.label, align: align,
                        offset: (side * 4, 12), isTitle: false))
            }
            for edge in [-0.5, 0.5] {
                addLine(point(-0.5, across: edge), point(0.5, across: edge), isEdge: true)
            }
            labels.append(
                Label(
                    place: point(0, across: nearEdge), text: axis.title, align: align,
                    offset: (side * 20, 44), isTitle: true))
        }
    }

    /// Lines along the far walls at round heights, with labels at the left end.
    private mutating func addWalls(_ z: ClosedRange<Double>, _ style: NumberStyle) {
        let axis = ChartAxis("", style: style, limits: z)
        let corner = (x: -near.x, y: -near.y)
        let ends = [(x: near.x, y: corner.y), (x: corner.x, y: near.y)]
        let left =
            ends.min { picture($0.x, $0.y).x < picture($1.x, $1.y).x } ?? (x: near.x, y: corner.y)
        for tick in axis.ticks(in: z, most: 5) {
            let height = axis.fraction(of: tick.value, in: z) * projection.height
            for end in ends {
                addLine(picture(corner.x, corner.y, height), picture(end.x, end.y, height))
            }
            labels.append(
                Label(
                    place: picture(left.x, left.y, height), text: tick.label, align: "right",
                    offset: (-6, 0), isTitle: false))
        }
        for foot in ends + [corner] {
            addLine(
                picture(foot.x, foot.y), picture(foot.x, foot.y, projection.height), isEdge: true)
        }
    }

    // MARK: - Specification

    /// The tables `frameLines` and `frameLabels`.
    var data: [JSONValue] {
        [
            table(
                "frameLines",
                lines.map { line -> JSONValue in
                    [
                        "x": .number(line.from.x), "y": .number(line.from.y),
                        "x2": .number(line.to.x), "y2": .number(line.to.y),
                        "edge": .bool(line.isEdge),
                    ]
                }),
            table(
                "frameLabels",
                labels.map { label -> JSONValue in
                    [
                        "x": .number(label.place.x), "y": .number(label.place.y),
                        "dx": .number(label.offset.x), "dy": .number(label.offset.y),
                        "text": .string(label.text), "align": .string(label.align),
                        "title": .bool(label.isTitle),
                    ]
                }),
        ]
    }

    static var lineMarks: [JSONValue] {
        [
            .object(
                mark(
                    "rule", from: "frameLines",
                    [
                        "x": signal("originX + unit * datum.x"),
                        "y": signal("originY + unit * datum.y"),
                        "x2": signal("originX + unit * datum.x2"),
                        "y2": signal("originY + unit * datum.y2"),
                        "stroke": signal("datum.edge ? muted : faint"),
                        "strokeOpacity": signal("datum.edge ? 0.6 : 1"),
                    ]))
        ]
    }

    static var labelMarks: [JSONValue] {
        // A title at the side of a narrow picture would run over the edge; 6.8 pixels are a
        // character's width.
        let x = "originX + unit * datum.x + datum.dx"
        let length = "6.8 * length(datum.text)"
        let inside =
            "datum.align === 'left' ? min(\(x), width - \(length)) : max(\(x), \(length))"
        return [
            .object(
                mark(
                    "text", from: "frameLabels",
                    [
                        "x": signal(inside),
                        "y": signal("originY + unit * datum.y + datum.dy"),
                        "text": ["field": "text"], "align": ["field": "align"],
                        "baseline": constant("middle"),
                        "fill": signal("datum.title ? ink : muted"),
                        "fontSize": signal("datum.title ? 12 : 11"),
                    ]))
        ]
    }
}
