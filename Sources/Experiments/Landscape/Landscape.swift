import Support

/// The losses on a plane through a run's newest checkpoint.
package struct Landscape: Sendable {
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
    package let surface: LossSurface
    /// The run's path, projected onto the plane of principal directions; empty for random
    /// directions.
    package let path: [Step]
    /// The fraction of the path's variance along each principal direction; empty for random
    /// directions.
    package let explained: [Double]
    /// The cosine of the angle between the directions.
    package let cosine: Double

    /// The positions and their losses as comma-separated values.
    package var table: String {
        var lines = ["x,y,loss"]
        for (index, loss) in surface.losses.enumerated() {
            let (x, y) = surface.grid.place(index)
            lines.append("\(x),\(y),\(loss)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package var json: JSONObject {
        var object: JSONObject = [
            "run": .string(run), "directions": .string(directions.rawValue),
            "step": .integer(step), "sequences": .integer(sequences),
            "targets": .integer(targets), "loss": .number(originLoss),
            "cosine": .number(cosine), "surface": .object(surface.json),
        ]
        switch directions {
        case .filter: object["seed"] = .string("\(seed)")
        case .pca:
            object["explained"] = .array(explained.map(JSONValue.number))
            object["path"] = .array(
                path.map { ["step": .integer($0.step), "x": .number($0.x), "y": .number($0.y)] })
        }
        return object
    }
}

extension LossSurface {
    /// The ends of the grid and the losses row by row, y rising; a loss that is not finite is null.
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
