import Support

/// The losses over a plane through a run's newest checkpoint.
package struct Landscape: Sendable {
    /// A checkpoint's place on the plane.
    package struct Step: Sendable, Equatable {
        package let step: Int
        package let x: Double
        package let y: Double
    }

    package let run: String
    package let directions: LandscapeRequest.Directions
    /// Of the random directions.
    package let seed: UInt64
    /// The newest checkpoint's, which is the plane's origin.
    package let step: Int
    /// Validation windows that each loss is over.
    package let sequences: Int
    package let targets: Int
    /// The loss of the newest checkpoint.
    package let originLoss: Double
    package let surface: LossSurface
    /// The run's way, projected on the plane of principal directions; else empty.
    package let path: [Step]
    /// The part of the path's variance along each principal direction; else empty.
    package let explained: [Double]
    /// Of the angle between the directions.
    package let cosine: Double

    /// The places and their losses as comma-separated values, the same for the same losses.
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
                path.map {
                    ["step": .integer($0.step), "x": .number($0.x), "y": .number($0.y)]
                })
        }
        return object
    }
}

extension LossSurface {
    /// The grid's ends and the losses row by row, y rising; null where one is not finite.
    var json: JSONObject {
        func ends(_ range: ClosedRange<Double>) -> JSONValue {
            [.number(range.lowerBound), .number(range.upperBound)]
        }
        let rows = (0..<grid.size).map { row in
            JSONValue.array(
                losses[row * grid.size..<(row + 1) * grid.size].map(JSONValue.number))
        }
        return ["x": ends(grid.x), "y": ends(grid.y), "losses": .array(rows)]
    }
}
