import Report

/// A regular grid of points on a plane.
package struct PlaneGrid: Sendable, Equatable {
    package let x: ClosedRange<Double>
    package let y: ClosedRange<Double>
    /// The number of points along each axis, at least two.
    package let size: Int

    /// Creates a grid of `size` x `size` points, at least two along each axis.
    package init(x: ClosedRange<Double>, y: ClosedRange<Double>, size: Int) {
        precondition(size >= 2, "a grid has at least two points along each axis")
        self.x = x
        self.y = y
        self.size = size
    }

    /// Creates a grid that contains all given points, such as those of paths.
    ///
    /// - Parameter margin: the free space on each side, as a fraction of the points' extent.
    package init(around points: [(x: Double, y: Double)], margin: Double, size: Int) {
        func range(_ values: [Double]) -> ClosedRange<Double> {
            let (low, high) = (values.min() ?? 0, values.max() ?? 0)
            let free = high > low ? (high - low) * margin : 1
            return (low - free)...(high + free)
        }
        self.init(x: range(points.map(\.x)), y: range(points.map(\.y)), size: size)
    }

    /// The number of points.
    package var count: Int { size * size }

    /// Returns the position of a point. Points are numbered row by row, and y rises with the row.
    package func place(_ index: Int) -> (x: Double, y: Double) {
        func coordinate(_ step: Int, in range: ClosedRange<Double>) -> Double {
            // This form is exact at both ends and in the middle of a symmetric range.
            let part = Double(step) / Double(size - 1)
            return range.lowerBound * (1 - part) + range.upperBound * part
        }
        return (coordinate(index % size, in: x), coordinate(index / size, in: y))
    }

    /// Returns the grid with a value for each point, for a chart.
    package func regular(_ values: [Double]) -> RegularGrid {
        RegularGrid(x: x, y: y, columns: size, rows: size, values: values)
    }

    /// Returns the part of a path up to the edge of the grid.
    package func beginning(of path: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
        var points: [(x: Double, y: Double)] = []
        for point in path {
            guard x.contains(point.x), y.contains(point.y) else {
                if let last = points.last { points.append(edge(from: last, to: point)) }
                break
            }
            points.append(point)
        }
        return points
    }

    /// Returns the position at which a straight line from a position inside the grid to one outside
    /// leaves the grid.
    package func edge(
        from start: (x: Double, y: Double), to end: (x: Double, y: Double)
    ) -> (x: Double, y: Double) {
        func part(_ from: Double, _ to: Double, _ range: ClosedRange<Double>) -> Double {
            if to > range.upperBound { return (range.upperBound - from) / (to - from) }
            if to < range.lowerBound { return (range.lowerBound - from) / (to - from) }
            return 1
        }
        let part = min(part(start.x, end.x, x), part(start.y, end.y, y))
        return (start.x + part * (end.x - start.x), start.y + part * (end.y - start.y))
    }
}
