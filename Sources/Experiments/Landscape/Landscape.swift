import Support

/// The losses on planes through a run's newest checkpoint.
package struct Landscape: Sendable {
    /// The losses on a plane, and the run's path on it.
    package struct Plane: Sendable {
        package let surface: LossSurface
        /// The checkpoints, projected onto the plane.
        package let path: [Step]
        /// The fraction of the squared distances of the checkpoints from the newest one that lies in
        /// the plane.
        package let held: Double
        /// The cosine of the angle between the directions.
        package let cosine: Double
    }

    /// The position of a checkpoint on the plane.
    package struct Step: Sendable, Equatable {
        package let step: Int
        package let x: Double
        package let y: Double
    }

    package let run: String
    package let directions: LandscapeSession.Directions
    /// The seed of the random directions.
    package let seed: UInt64
    /// The step of the newest checkpoint, which is the plane's origin.
    package let step: Int
    /// The number of validation windows of each loss.
    package let sequences: Int
    package let targets: Int
    /// The loss of the newest checkpoint.
    package let originLoss: Double
    /// The planes; there is at least one.
    package let planes: [Plane]
    /// The fraction of the path's variance along each principal direction; empty for random
    /// directions.
    package let explained: [Double]

    /// The losses on all planes.
    package var losses: [Double] { planes.flatMap(\.surface.losses) }

    /// The positions, their losses and the numbers of their planes as comma-separated values.
    package var table: String {
        var lines = ["x,y,loss,plane"]
        for (plane, surface) in planes.map(\.surface).enumerated() {
            for (index, loss) in surface.losses.enumerated() {
                let (x, y) = surface.grid.place(index)
                lines.append("\(x),\(y),\(loss),\(plane + 1)")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package var json: JSONObject {
        // The keys of the first plane are those of a landscape with one plane.
        var object = planes[0].json
        object["run"] = .string(run)
        object["directions"] = .string(directions.rawValue)
        object["step"] = .integer(step)
        object["sequences"] = .integer(sequences)
        object["targets"] = .integer(targets)
        object["loss"] = .number(originLoss)
        switch directions {
        case .filter: object["seed"] = .string("\(seed)")
        case .pca: object["explained"] = .array(explained.map(JSONValue.number))
        }
        if planes.count > 1 {
            object["more_planes"] = .array(planes.dropFirst().map { .object($0.json) })
        }
        return object
    }
}

extension Landscape.Plane {
    fileprivate var json: JSONObject {
        [
            "cosine": .number(cosine), "held": .number(held), "surface": .object(surface.json),
            "path": .array(
                path.map { ["step": .integer($0.step), "x": .number($0.x), "y": .number($0.y)] }),
        ]
    }

    /// The part of the path that ends at the checkpoint, from the edge of the grid.
    var visiblePath: [(x: Double, y: Double)] {
        surface.grid.beginning(of: path.reversed().map { ($0.x, $0.y) }).reversed()
    }
}

extension LossSurface {
    /// The ends of the grid, and the losses row by row in ascending order of y; a loss that is not
    /// finite is null.
    var json: JSONObject {
        func ends(_ range: ClosedRange<Double>) -> JSONValue {
            [.number(range.lowerBound), .number(range.upperBound)]
        }
        let rows = (0..<grid.size).map { row in
            JSONValue.array(losses[row * grid.size..<(row + 1) * grid.size].map(JSONValue.number))
        }
        return ["x": ends(grid.x), "y": ends(grid.y), "losses": .array(rows)]
    }
}
